// Real numbers that parameters need, as BigInt fixed point: sections 3.5 and 3.6 of docs/stream.md.

// n stands for n / 2^P. Every float64 fits without rounding.
export const P = 1400n;
export const ONE = 1n << P;

/** A float64 as an exact quotient of integers. */
function quotient(x) {
  let den = 1n;
  for (; !Number.isInteger(x); x *= 2) den *= 2n;
  return [BigInt(x), den];
}

function fixed(x) {
  const [num, den] = quotient(x);
  return (num << P) / den;
}

/** num / den, both ≥ 0, as an integer, ties to even. */
export function roundDivide(num, den) {
  const whole = num / den;
  const twice = 2n * (num % den);
  return twice > den || (twice === den && whole & 1n) ? whole + 1n : whole;
}

/** f32 of the real number num / den. */
export function f32Quotient(num, den) {
  if (num < 0n) return -f32Quotient(-num, den);
  if (num === 0n) return 0;
  const scaled = (power) => (power < 0n ? [num << -power, den] : [num, den << power]);
  const length = (n) => BigInt(n.toString(2).length);
  let exponent = length(num) - length(den); // ⌊log₂⌋ of the quotient, or one more
  const [a, b] = scaled(exponent);
  if (a < b) exponent -= 1n;
  const unit = exponent - 23n > -149n ? exponent - 23n : -149n; // subnormals share the last one
  return Number(roundDivide(...scaled(unit))) * 2 ** Number(unit);
}

/** Σ (±1)^i / ((2i + 1) x^(2i + 1)) for x = num / den: atan (sign −1) or atanh (sign +1) of 1 / x. */
function arcSeries(num, den, sign) {
  let power = (ONE * den) / num;
  let sum = 0n;
  for (let i = 0n; power > 0n; i++) {
    const term = power / (2n * i + 1n);
    sum += sign < 0 && i & 1n ? -term : term;
    power = (power * den * den) / (num * num);
  }
  return sum;
}

function squareRoot(n) {
  let root = 1n << BigInt(Math.ceil(n.toString(2).length / 2)); // above the root: Newton descends
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

const PI = 16n * arcSeries(5n, 1n, -1) - 4n * arcSeries(239n, 1n, -1);
const SQRT_2_OVER_PI = squareRoot((2n << (3n * P)) / PI);
const LN_2 = 2n * arcSeries(3n, 1n, +1);

/** Q(z) = 2(1 − Φ(z)) = 1 − √(2/π) Σ (−1)^n z^(2n+1) / (2^n n! (2n + 1)), in fixed point. */
export function tail(z) {
  if (z > 20) return 0n; // Q(20) < 2^−292: 2³¹ · Q is 0 as a float32
  const x = fixed(z);
  const halfSquare = (x * x) >> (P + 1n);
  let sum = 0n;
  for (let n = 0n, power = x; power > 0n; power = ((power * halfSquare) >> P) / ++n) {
    const term = power / (2n * n + 1n);
    sum += n & 1n ? -term : term;
  }
  return ONE - ((sum * SQRT_2_OVER_PI) >> P);
}

/** log₂(high) − log₂(low), in fixed point. */
export function log2Ratio(low, high) {
  const [a, b] = quotient(high);
  const [c, d] = quotient(low);
  const num = a * d;
  let den = b * c;
  let whole = 0n;
  for (; den * 2n <= num; den *= 2n) whole++;
  if (num === den) return whole << P;
  return (whole << P) + ((2n * arcSeries(num + den, num - den, +1)) << P) / LN_2;
}
