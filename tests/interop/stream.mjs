// An independent reader of docs/stream.md: written from the document and the vectors alone, it
// imports nothing of Seedbed. Comments name the document's sections; the order is the document's.
//
//   node tests/interop/stream.mjs vectors tests/golden/stream-v1.json
//   node tests/interop/stream.mjs file PATH...
//
// `file` takes seed and spec from each file's own metadata, regenerates the whole file from them,
// header and data, and compares every byte. Exit code 0 if all is equal, 1 if not, 2 for misuse.
// Node 18 or later on a little-endian machine; no dependencies.

import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';

const { subtle } = webcrypto;
const utf8 = new TextEncoder();

// ---------------------------------------------------------------- 0. Conventions

const f32 = Math.fround;
const float32View = new Float32Array(1);
const bits32View = new Uint32Array(float32View.buffer);
const bits = (x) => ((float32View[0] = x), bits32View[0]);
const float = (n) => ((bits32View[0] = n), float32View[0]);

/** Horner's rule, highest power first, every operation rounded to float32. */
function poly(x, coefficients) {
  let v = coefficients[0];
  for (let k = 1; k < coefficients.length; k++) v = f32(f32(v * x) + coefficients[k]);
  return v;
}

// Real numbers are BigInt fixed point: n stands for n / 2^P. Every float64 fits without rounding.
const P = 1400n;
const ONE = 1n << P;

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
function roundDivide(num, den) {
  const whole = num / den;
  const twice = 2n * (num % den);
  return twice > den || (twice === den && whole & 1n) ? whole + 1n : whole;
}

/** f32 of the real number num / den. */
function f32Quotient(num, den) {
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
function tail(z) {
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
function log2Ratio(low, high) {
  const [a, b] = quotient(high);
  const [c, d] = quotient(low);
  const num = a * d;
  let den = b * c;
  let whole = 0n;
  for (; den * 2n <= num; den *= 2n) whole++;
  if (num === den) return whole << P;
  return (whole << P) + ((2n * arcSeries(num + den, num - den, +1)) << P) / LN_2;
}

// ---------------------------------------------------------------- 1. Key

async function streamKey(seed, name, lane) {
  const integer = (n, size) => {
    const out = Buffer.alloc(size);
    for (let i = 0; i < size; i++) out[i] = Number((BigInt(n) >> BigInt(8 * i)) & 255n);
    return out;
  };
  const [laneBytes, nameBytes] = [utf8.encode(lane), utf8.encode(name)];
  const content = Buffer.concat([
    utf8.encode('seedbed/stream'), integer(1, 2), integer(seed, 8),
    integer(laneBytes.length, 8), laneBytes, integer(nameBytes.length, 8), nameBytes,
  ]);
  return Buffer.from(await subtle.digest('SHA-256', content)).subarray(0, 16);
}

// ---------------------------------------------------------------- 2. Words

async function streamWords(key, start, count) {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(Math.floor(start / 4)), 8);
  const skip = start % 4;
  const aes = await subtle.importKey('raw', key, 'AES-CTR', false, ['encrypt']);
  const zeros = new Uint8Array(4 * (skip + count));
  return new Uint32Array(await subtle.encrypt({ name: 'AES-CTR', counter, length: 128 }, aes, zeros), 4 * skip);
}

// ---------------------------------------------------------------- 3. Draws: word → float32

const nextUp = (v) => (v === 0 ? 2 ** -149 : float(bits(v) + (v > 0 ? 1 : -1)));
const above = (bound, strict) => {
  const v = f32(bound);
  return Math.abs(bound) !== Infinity && (v < bound || (strict && v === bound)) ? nextUp(v) : v;
};
const interval = (low, high, { strict }) => [above(low, strict), -above(-high, strict)];

// 3.1
const oddMultiple = (w) => (2 * (w >>> 8) - 16777215) * 2 ** -24;

// 3.3
const C = [0.14581256, -0.23404393, 0.24887721, -0.28709853, 0.3602396, -0.48092324, 0.7213528, -1.4426949].map(f32);
const A = [1, 587.4357, 33600.734, 423429.2, 1463690.9, 1310061.2].map(f32);
const B = [1, 153.23164, 4135.619, 30359.05, 71127.87, 48590.316].map(f32);
const KAPPA = 0.03222132637800287;

function halfNormal(x) {
  const n = (bits(x) - 0x3f3504f3) | 0;
  const exponent = n >> 23;
  const m = float((n & 0x7fffff) + 0x3f3504f3);
  const u = f32(m - 1);
  const level = f32(f32(31 - exponent) + f32(u * poly(u, C)));
  return f32(f32(level * poly(level, A)) / poly(level, B));
}

// 3.6
const E = [0.00015403498, 0.0013390735, 0.009618238, 0.055503573, 0.24022649, 0.6931472].map(f32);

function roundHalfEven(y) {
  const floor = Math.floor(y);
  const rest = y - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** Each distribution computes its parameters once and returns the function word → float32. */
const distributions = {
  // 3.2
  uniform(low, high) {
    const centre = f32(low / 2 + high / 2);
    const half = f32(high / 2 - low / 2);
    const [first, last] = interval(low, high, { strict: true });
    return (w) => {
      const v = f32(f32(half * oddMultiple(w)) + centre);
      return v < first ? first : v > last ? last : v;
    };
  },

  // 3.4
  normal(mean, std) {
    const centre = f32(mean);
    const spread = f32(KAPPA * std);
    return (w) => {
      const g = halfNormal(f32(f32(w & 0x7fffffff) + 0.5));
      return f32(f32(spread * (w >= 2 ** 31 ? -g : g)) + centre);
    };
  },

  // 3.5
  truncated_normal(mean, std, lower, upper) {
    const [first, last] = interval(mean + lower * std, mean + upper * std, { strict: false });
    const centre = f32(mean);
    let spread = f32(KAPPA * std);
    if (upper <= 0) [lower, upper, spread] = [-upper, -lower, -spread];
    const farUp = tail(upper);
    const massUp = tail(Math.max(lower, 0)) - farUp;
    const farDown = tail(Math.max(-lower, 0));
    const massDown = ONE - farDown;
    const countUp = Math.max(1, Number(roundDivide(massUp << 32n, massUp + massDown)));
    const countDown = Math.max(1, 2 ** 32 - countUp);
    const scaleUp = f32Quotient(massUp << 31n, ONE * BigInt(countUp));
    const offsetUp = f32Quotient(farUp << 31n, ONE);
    const scaleDown = f32Quotient(massDown << 31n, ONE * BigInt(countDown));
    const offsetDown = f32Quotient(farDown << 31n, ONE);
    return (w) => {
      const up = w < countUp;
      const h = f32(f32(up ? w : w - countUp) + 0.5);
      const x = f32(f32(h * (up ? scaleUp : scaleDown)) + (up ? offsetUp : offsetDown));
      const g = halfNormal(x > 2 ** 31 ? 2 ** 31 : x);
      const v = f32(f32(spread * (up ? g : -g)) + centre);
      return v < first ? first : v > last ? last : v;
    };
  },

  // 3.6
  log_uniform(low, high) {
    const centre = f32(Math.sqrt(low) * Math.sqrt(high));
    const half = f32Quotient(log2Ratio(low, high), 2n * ONE);
    const [first, last] = interval(low, high, { strict: true });
    return (w) => {
      const y = f32(half * oddMultiple(w));
      const n = roundHalfEven(y);
      const r = f32(y - n);
      const power = f32(f32(r * poly(r, E)) + 1);
      const v = f32(centre * float(bits(power) + n * 2 ** 23));
      return v < first ? first : v > last ? last : v;
    };
  },
};

// ---------------------------------------------------------------- 4. float32 → bytes

// In the order of section 6: descending dtype rank.
const SIZES = {
  U64: 8, I64: 8, F64: 8, F32: 4, U32: 4, I32: 4, BF16: 2, F16: 2, U16: 2, I16: 2,
  F8_E4M3: 1, F8_E5M2: 1, I8: 1, U8: 1, BOOL: 1,
};
const RANKS = Object.keys(SIZES);

/** Nearest float of a narrower type (width in bits, fraction bits, bias), ties to even. */
function narrow(pattern, width, fraction, bias) {
  const sign = pattern >>> 31;
  const biased = (pattern >>> 23) & 0xff;
  const significand = (pattern & 0x7fffff) | (biased ? 0x800000 : 0);
  const exponent = Math.max(biased, 1) - 127 - (1 - bias); // above the least normal exponent
  const shift = Math.min(23 - fraction + Math.max(-exponent, 0), 26);
  const rounded = (significand + (1 << (shift - 1)) - 1 + ((significand >> shift) & 1)) >> shift;
  return (sign << (width - 1)) | ((Math.max(exponent, 0) << fraction) + rounded);
}

const encoders = {
  F32: (v) => v,
  F64: (v) => Float64Array.from(v),
  BF16: (v) => Uint16Array.from(new Uint32Array(v.buffer), (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16),
  F16: (v) => Uint16Array.from(new Uint32Array(v.buffer), (b) => narrow(b, 16, 10, 15)),
  F8_E4M3: (v) => Uint8Array.from(new Uint32Array(v.buffer), (b) => narrow(b, 8, 3, 7)),
  F8_E5M2: (v) => Uint8Array.from(new Uint32Array(v.buffer), (b) => narrow(b, 8, 2, 15)),
};

/** The bytes of one float32 array in a float dtype. */
const encode = (dtype, draws) => Buffer.from(encoders[dtype](draws).buffer);

/** 3.7: the bytes of one element of a constant. */
function encodeConstant(dtype, value) {
  if (dtype in encoders) return encode(dtype, Float32Array.of(typeof value === 'bigint' ? f32Quotient(value, 1n) : value));
  return Buffer.from(BigInt64Array.of(BigInt(value)).buffer, 0, SIZES[dtype]);
}

// ---------------------------------------------------------------- 5. Schemes

/** The fans of a shape, by what an init says of its axes or of them. */
function fans(shape, init = {}) {
  const named = {};
  for (const name of ['batch_axis', 'out_axis', 'in_axis']) {
    if (init[name] !== undefined) named[name] = [init[name]].flat().map((axis) => (axis < 0 ? axis + shape.length : axis));
  }
  const rest = shape.map((_, axis) => axis).filter((axis) => !Object.values(named).flat().includes(axis));
  for (const name of ['out_axis', 'in_axis']) named[name] ??= rest.splice(0, 1);
  const over = (axes) => product(axes.map((axis) => shape[axis]));
  const field = over(rest);
  return {
    fan_in: init.fan_in ?? over(named.in_axis) * field,
    fan_out: init.fan_out ?? over(named.out_axis) * field,
  };
}

function nonlinearityGain(nonlinearity, a) {
  switch (nonlinearity) {
    case 'tanh': return 5 / 3;
    case 'relu': return Math.sqrt(2);
    case 'leaky_relu': return Math.sqrt(2 / (1 + a * a));
    case 'selu': return 0.75;
    default: return 1;
  }
}

/** The std of a scheme that has fans. */
function standardDeviation(family, init, shape) {
  const { fan_in, fan_out } = fans(shape, init);
  const { mode = 'fan_in', nonlinearity = 'leaky_relu', a = 0, scale = 1 } = init;
  const n = { fan_in, fan_out, fan_avg: (fan_in + fan_out) / 2, fan_geo_avg: Math.sqrt(fan_in * fan_out) }[mode];
  switch (family) {
    case 'variance_scaling': return Math.sqrt(scale / n);
    case 'he': {
      const gain = init.convention === 'mlx' ? 1 : nonlinearityGain(nonlinearity, a);
      return (init.gain ?? gain) / Math.sqrt(n);
    }
    case 'glorot': return (init.gain ?? 1) * Math.sqrt(2 / (fan_in + fan_out));
    case 'lecun': return (init.gain ?? 1) / Math.sqrt(n);
  }
}

const sum = (n, term) => {
  let total = 0;
  for (let i = 0; i < n; i++) total += term(i);
  return total;
};
const product = (shape) => shape.reduce((a, b) => a * b, 1);

/** Recipes of one paper: a distribution by fan_in or by a number. */
const recipes = {
  siren_first: (_, n) => symmetric(1 / n),
  siren: ({ omega = 30 }, n) => symmetric(Math.sqrt(6 / n) / omega),
  small_init: (_, n) => distributions.normal(0, Math.sqrt(2 / (5 * n))),
  wang_init: ({ layers, width }, n) => distributions.normal(0, 2 / (layers * Math.sqrt(width ?? n))),
  torch_bias: ({ fan_in }) => symmetric(1 / Math.sqrt(fan_in)),
};
const symmetric = (bound) => distributions.uniform(-bound, bound);

// 5.1
const derived = {
  mamba_dt_bias({ dt_min = 0.001, dt_max = 0.1, floor = 0.0001 }) {
    const draw = distributions.log_uniform(dt_min, dt_max);
    return [draw, (x) => { const y = x < floor ? floor : x; return y + log(-expm1(-y)); }];
  },
  chrono_bias: ({ t_max, gate = 'forget' }) =>
    [distributions.uniform(1, t_max - 1), (x) => (gate === 'forget' ? 1 : -1) * log(x)],
  lru_nu_log: ({ r_min = 0, r_max = 1 }) =>
    [distributions.uniform(r_min * r_min, r_max * r_max), (x) => log(-0.5 * log(x))],
  lru_theta_log: ({ max_phase = 6.283185307179586 }) => [distributions.uniform(0, max_phase), log],
  rglru({ r_min = 0.9, r_max = 0.999 }) {
    const draw = distributions.uniform(r_min * r_min, r_max * r_max);
    return [draw, (x) => { const a = Math.sqrt(x); return log((1 - a) / a); }];
  },
};

// 5.2
const popcountIsOdd = (n) => {
  let odd = 0;
  for (; n > 0; n = Math.floor(n / 2)) odd ^= n % 2;
  return odd === 1;
};
const andOf = (i, j) => Number(BigInt(i) & BigInt(j));
const logTwo = (size) => { let m = 0; while (2 ** m < size) m++; return m; };
const hadamard = (scale) => (i, j) => (popcountIsOdd(andOf(i, j)) ? -scale : scale);
const root = (i, j) => Math.sqrt((2 * i + 1) * (2 * j + 1));

/** Entry (i, j) of a matrix at the centre tap. */
const matrices = {
  eye: ({ gain = 1 }) => (i, j) => (i === j ? gain : 0),
  dirac: ({ groups = 1 }, [out]) => (i, j) => (i % (out / groups) === j ? 1 : 0),
  idinit({ tau = 1 }, [out, into]) {
    const s = Math.min(out, into);
    return (i, j) => (i % s === j % s ? tau : 0);
  },
  hadamard: ({ gain = 1 }, [out, into]) => hadamard(gain * Math.sqrt(2 ** -logTwo(Math.max(out, into)))),
  zero_init: (_, [out, into]) =>
    (out <= into ? (i, j) => (i === j ? 1 : 0) : hadamard(Math.sqrt(2 ** -logTwo(out)))),
  hippo_legs: () => (i, j) => (i > j ? -root(i, j) : i === j ? -(i + 1) : 0),
  hippo_legt: () => (i, j) => (i < j && (i + j) % 2 === 1 ? root(i, j) : -root(i, j)),
  hippo_normal: () => (i, j) => (i > j ? -(0.5 * root(i, j)) : i === j ? -0.5 : 0.5 * root(i, j)),
  sinusoidal({ layout = 'interleaved', base = 10000 }, [, width]) {
    const h = width / 2;
    const logBase = log(base);
    return (p, j) => {
      const [k, s, sine] = layout === 'interleaved'
        ? [Math.floor(j / 2), h, j % 2 === 0] : [j % h, h - 1, j < h];
      const angle = p * exp(-((k / s) * logBase));
      return sine ? sin(angle) : cos(angle);
    };
  },
};

/** Entry n of a table of length N; those of the first axis are marked. */
const PI64 = 3.141592653589793;
const sequences = {
  mamba_A_log: () => (n) => log(n + 1),
  s4d_real: () => (n) => -(n + 1),
  s4d_lin: () => (n) => PI64 * n,
  s4d_inv: (_, N) => (n) => ((2 * N) / PI64) * ((2 * N) / (2 * n + 1) - 1),
  s4d_legs(_, N) {
    const count = (omega) => {
      let [x, y, m] = [1, 0, 0];
      for (let k = 0; k < 2 * N; k++) {
        const t = (2 * omega) / (2 * k + 1);
        const [a, b] = [x - t * y, y + t * x];
        if (a < 0 !== x < 0) m++;
        const s = Math.abs(a) + Math.abs(b);
        [x, y] = [a / s, b / s];
      }
      return m;
    };
    return (n) => {
      let [low, high] = [0, 2 * N * (2 * N)];
      for (let i = 0; i < 80; i++) {
        const middle = (low + high) * 0.5;
        if (count(middle) >= n + 1) high = middle;
        else low = middle;
      }
      return high;
    };
  },
  hippo_B: () => (n) => Math.sqrt(2 * n + 1),
  retnet_decay: () => (n) => 1 - exp2(-5 - n),
  alibi_slopes(_, N) {
    let p = 1;
    while (2 * p <= N) p *= 2;
    return (n) => exp2(n < p ? (-8 * (n + 1)) / p : (-8 * (2 * (n - p) + 1)) / (2 * p));
  },
  rope_inv_freq({ theta = 10000 }, N) {
    const logTheta = log(theta);
    return (n) => exp(-((n / N) * logTheta));
  },
};
const FIRST_AXIS = ['hippo_B', 'retnet_decay', 'alibi_slopes'];

/** The element at a flat index, or nothing if the scheme is no pattern. */
function pattern(init, shape) {
  if (init.scheme in sequences) {
    const first = FIRST_AXIS.includes(init.scheme);
    const length = first ? shape[0] : shape.at(-1);
    const stride = first ? product(shape.slice(1)) : 1;
    const at = sequences[init.scheme](init, length);
    return (index) => at(Math.floor(index / stride) % length);
  }
  if (!(init.scheme in matrices)) return undefined;
  const [, into, ...kernel] = shape;
  const entry = matrices[init.scheme](init, shape);
  const taps = product(kernel);
  const centre = kernel.reduce((c, k) => c * k + Math.floor(k / 2), 0);
  return (index) => {
    const place = Math.floor(index / taps);
    return index % taps === centre ? entry(Math.floor(place / into), place % into) : 0;
  };
}

// 5.3

/** H(rows, columns) as rows of numbers, from a function that gives so many normal draws. */
async function haar(rows, columns, normals) {
  const [m, n] = [Math.max(rows, columns), Math.min(rows, columns)];
  const G = await normals(m * n);
  const padded = Math.ceil(n / 32) * 32;
  const v = Array.from({ length: m }, () => new Float64Array(padded));
  const tau = new Float64Array(padded);
  const sign = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const g = (i) => G[i * n + k];
    const s = sum(m - k, (i) => g(k + i) * g(k + i));
    const beta = g(k) < 0 ? Math.sqrt(s) : -Math.sqrt(s);
    sign[k] = beta < 0 ? -1 : 1;
    if (s === 0) continue;
    tau[k] = (beta - g(k)) / beta;
    v[k][k] = 1;
    for (let i = k + 1; i < m; i++) v[i][k] = g(i) / (g(k) - beta);
  }
  const Q = Array.from({ length: m }, (_, i) => Float64Array.from({ length: n }, (_, c) => (i === c ? 1 : 0)));
  for (let first = padded - 32; first >= 0; first -= 32) {
    const V = (i, a) => v[i][first + a];
    const T = Array.from({ length: 32 }, () => new Float64Array(32));
    for (let k = 0; k < 32; k++) {
      const gram = Array.from({ length: k }, (_, t) => sum(m, (i) => V(i, t) * V(i, k)));
      for (let a = 0; a < k; a++) T[a][k] = -tau[first + k] * sum(k, (t) => T[a][t] * gram[t]);
      T[k][k] = tau[first + k];
    }
    for (let c = 0; c < n; c++) {
      const W = Float64Array.from({ length: 32 }, (_, a) => sum(m - first, (i) => V(first + i, a) * Q[first + i][c]));
      const Y = Float64Array.from({ length: 32 }, (_, a) => sum(32, (t) => T[a][t] * W[t]));
      for (let i = first; i < m; i++) for (let t = 0; t < 32; t++) Q[i][c] -= V(i, t) * Y[t];
    }
  }
  for (const row of Q) for (let c = 0; c < n; c++) row[c] *= sign[c];
  return rows >= columns ? Q : Array.from({ length: rows }, (_, i) => Q.map((row) => row[i]));
}

/** Whole tensors, as flat arrays of float64; `normals(count, std)` draws, `mask(count)` gives words. */
const wholes = {
  async orthogonal({ gain = 1 }, [out, ...rest], { normals }) {
    return (await haar(out, product(rest), normals)).flatMap((row) => Array.from(row, (q) => gain * q));
  },
  async delta_orthogonal({ gain = 1 }, [out, into, ...kernel], { normals }) {
    const taps = product(kernel);
    const centre = kernel.reduce((c, k) => c * k + Math.floor((k - 1) / 2), 0);
    const values = new Float64Array(out * into * taps);
    const H = await haar(out, into, normals);
    for (let i = 0; i < out; i++) for (let j = 0; j < into; j++) values[(i * into + j) * taps + centre] = gain * H[i][j];
    return values;
  },
  async looks_linear({ gain = 1, part = 'hidden' }, [out, into], { normals }) {
    const M = await haar(part === 'last' ? out : out / 2, part === 'first' ? into : into / 2, normals);
    const rows = M.map((row) => {
      const some = Array.from(row, (q) => gain * q);
      return part === 'first' ? some : [...some, ...some.map((q) => -q)];
    });
    const all = part === 'last' ? rows : [...rows, ...rows.map((row) => row.map((q) => -q))];
    return all.flat();
  },
  async householder(_, [out, into], { normals }) {
    const v = await normals(Math.max(out, into));
    const S = sum(v.length, (i) => v[i] * v[i]);
    return Float64Array.from({ length: out * into }, (_, index) => {
      const [i, j] = [Math.floor(index / into), index % into];
      const entry = -((2 * v[i] * v[j]) / S);
      return i === j ? entry + 1 : entry;
    });
  },
  async sparse({ sparsity, std = 0.01, per = 'column' }, [out, into], { normals, mask }) {
    const values = await normals(out * into, std);
    const words = await mask(out * into);
    const [lines, length] = per === 'column' ? [into, out] : [out, into];
    for (let line = 0; line < lines; line++) {
      const places = Array.from({ length }, (_, i) => (per === 'column' ? i * into + line : line * into + i));
      places.sort((a, b) => words[a] - words[b] || a - b);
      for (const place of places.slice(0, Math.ceil(sparsity * length))) values[place] = 0;
    }
    return values;
  },
  async unit_norm_rows({ gain = 1 }, [out, ...rest], { normals }) {
    const width = product(rest);
    const values = Float64Array.from(await normals(out * width));
    for (let i = 0; i < out; i++) {
      const row = values.subarray(i * width, (i + 1) * width);
      const factor = gain / Math.sqrt(sum(width, (j) => row[j] * row[j]));
      row.forEach((x, j) => { row[j] = x * factor; });
    }
    return values;
  },
  async lsuv_gaussian({ second_moment = 1 }, [out, ...rest], { normals }) {
    const width = product(rest);
    const x = await normals(out * width);
    const S = sum(out, (i) => sum(width, (j) => x[i * width + j] * x[i * width + j]));
    const factor = Math.sqrt(out / second_moment / S);
    return Float64Array.from(x, (g) => g * factor);
  },
};

/** { constant }, { draw }, { draw, after }, { at } or { whole } for an init and a shape. */
function resolveScheme(init, shape) {
  const { scheme, convention = 'torch' } = init;
  if (scheme in recipes) return { draw: recipes[scheme](init, fans(shape, init).fan_in) };
  if (scheme in derived) {
    const [draw, after] = derived[scheme](init);
    return { draw, after };
  }
  if (scheme in wholes) return { whole: wholes[scheme] };
  const at = pattern(init, shape);
  if (at) return { at };
  if (scheme === 'zeros') return { constant: 0 };
  if (scheme === 'ones') return { constant: 1 };
  if (scheme === 'constant') return { constant: init.value };
  if (scheme === 'uniform') return { draw: distributions.uniform(init.low ?? -1, init.high ?? 1) };
  if (scheme === 'normal') return { draw: distributions.normal(init.mean ?? 0, init.std ?? 1) };
  if (scheme === 'log_uniform') return { draw: distributions.log_uniform(init.low, init.high) };
  if (scheme === 'truncated_normal') {
    const { mean = 0, std = 1, lower = -2, upper = 2, bounds = 'sigma' } = init;
    const [low, high] = [lower ?? -Infinity, upper ?? Infinity];
    const sigmas = bounds === 'absolute' ? [(low - mean) / std, (high - mean) / std] : [low, high];
    return { draw: distributions.truncated_normal(mean, std, ...sigmas) };
  }
  const [, family, suffix] = /^(variance_scaling|(?:he|glorot|lecun)(?=_))(?:_(uniform|normal))?$/.exec(scheme) ?? [];
  if (!family) throw new Error(`unknown scheme ${scheme}`);
  const std = standardDeviation(family, init, shape);
  let kind = suffix ?? init.distribution ?? 'truncated_normal';
  if (kind === 'uniform') return { draw: distributions.uniform(-(Math.sqrt(3) * std), Math.sqrt(3) * std) };
  if (kind === 'normal' && (convention === 'keras' || (suffix && convention === 'jax'))) kind = 'truncated_normal';
  if (kind === 'truncated_normal') return { draw: distributions.truncated_normal(0, std / 0.87962566103423978, -2, 2) };
  return { draw: distributions.normal(0, std) };
}

// ---------------------------------------------------------------- 6. The file

/** JSON.parse, but integers past 2^53 become BigInt. A number n is first written ["n"], an array
 *  of one string, which no spec holds otherwise. */
function parseSpec(text) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) => (token[0] === '"' ? token : `["${token}"]`));
  return JSON.parse(marked, (_, value) => {
    if (!Array.isArray(value) || value.length !== 1 || typeof value[0] !== 'string') return value;
    const number = Number(value[0]);
    return /^-?\d+$/.test(value[0]) && !Number.isSafeInteger(number) ? BigInt(value[0]) : number;
  });
}

/** The glob of a rule as a regular expression over whole names, with a group for each star. */
function globExpression(pattern) {
  const escape = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
  const characters = [...pattern];
  let source = '';
  for (let i = 0; i < characters.length; i++) {
    const negated = characters[i + 1] === '!';
    const begin = i + 1 + negated;
    const end = characters[i] === '[' ? characters.indexOf(']', begin + 1) : -1; // a first ] is a member
    if (characters[i] === '*') source += '(.*?)';
    else if (characters[i] === '?') source += '.';
    else if (end < 0) source += escape(characters[i]);
    else {
      source += negated ? '[^' : '[';
      for (let k = begin; k < end; k++) {
        const range = characters[k + 1] === '-' && k + 2 < end;
        const last = range ? characters[k + 2] : characters[k];
        if (characters[k].codePointAt(0) <= last.codePointAt(0)) source += `${escape(characters[k])}-${escape(last)}`;
        if (range) k += 2;
      }
      source += ']';
      i = end;
    }
  }
  return new RegExp(`^${source}$`, 'su');
}

const byBytes = (a, b) => Buffer.compare(utf8.encode(a), utf8.encode(b));

/** The tensors of a spec in the order of the file, rules applied, with their offsets. */
function layOut(spec) {
  const rules = (spec.rules ?? []).map((rule) => ({ ...rule, expression: globExpression(rule.match) }));
  const tensors = spec.tensors.map(({ name, shape, init, same_as, dtype = spec.dtype ?? 'F32' }) => {
    for (const rule of rules.filter(({ expression }) => expression.test(name))) {
      dtype = rule.dtype ?? dtype;
      const stars = name.match(rule.expression).slice(1);
      const equal = rule.same_as?.replace(/\*/g, () => stars.shift());
      if (rule.init) [init, same_as] = [rule.init, undefined];
      else if (equal !== undefined && equal !== name) [init, same_as] = [undefined, equal];
    }
    const count = Number(shape.reduce((a, b) => a * BigInt(b), 1n)); // one may pass 2^53 beside a 0
    return { name, shape, dtype, count, same_as, init: typeof init === 'string' ? { scheme: init } : init };
  });
  const named = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (const tensor of tensors) {
    let root = tensor;
    while (root.same_as !== undefined) root = named.get(root.same_as);
    tensor.stream = root.name;
  }
  for (const tensor of tensors) tensor.init = named.get(tensor.stream).init;
  tensors.sort((a, b) => RANKS.indexOf(a.dtype) - RANKS.indexOf(b.dtype) || byBytes(a.name, b.name));
  let offset = 0;
  for (const tensor of tensors) tensor.offsets = [offset, (offset += tensor.count * SIZES[tensor.dtype])];
  return tensors;
}

/** Header length and header. */
async function header(seed, specText, spec, tensors) {
  const digest = await subtle.digest('SHA-256', utf8.encode(`seedbed/spec/1\n${specText}`));
  const entries = Object.entries(spec.metadata ?? {}).concat([
    ['format', 'pt'], ['seedbed.stream', '1'], ['seedbed.seed', String(BigInt(seed))],
    ['seedbed.spec', specText], ['seedbed.spec_sha256', Buffer.from(digest).toString('hex')],
  ]);
  entries.sort(([a], [b]) => byBytes(a, b));
  const string = JSON.stringify;
  const metadata = entries.map(([key, value]) => `${string(key)}:${string(value)}`).join(',');
  const rest = tensors.map(({ name, dtype, shape, offsets }) =>
    `,${string(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${offsets}]}`);
  const text = utf8.encode(`{"__metadata__":{${metadata}}${rest.join('')}}`);
  const out = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  out.writeBigUInt64LE(BigInt(out.length - 8));
  out.set(text, 8);
  return out;
}

/** The data of one tensor, piece by piece. */
async function* data(seed, { stream, shape, dtype, count, init }) {
  if (count === 0) return;
  const piece = 1 << 20;
  const { constant, draw, after = (x) => x, at, whole } = resolveScheme(init, shape);
  const key = await streamKey(seed, stream, 'values');
  if (whole) {
    const normals = async (n, std = 1) => Float32Array.from(await streamWords(key, 0, n), distributions.normal(0, std));
    const mask = async (n) => streamWords(await streamKey(seed, stream, 'mask'), 0, n);
    yield encode(dtype, Float32Array.from(await whole(init, shape, { normals, mask })));
    return;
  }
  for (let start = 0; start < count; start += piece) {
    const size = Math.min(piece, count - start);
    if (at) yield encode(dtype, Float32Array.from({ length: size }, (_, i) => at(start + i)));
    else if (!draw) yield Buffer.alloc(size * SIZES[dtype], encodeConstant(dtype, constant));
    else yield encode(dtype, Float32Array.from(await streamWords(key, start, size), (w) => after(draw(w))));
  }
}

/** Regenerates a file from its metadata; returns what is wrong with it, or nothing. */
async function checkFile(path) {
  const actual = readFileSync(path);
  const headerEnd = 8 + Number(actual.readBigUInt64LE());
  const metadata = JSON.parse(actual.toString('utf8', 8, headerEnd)).__metadata__;
  const seed = metadata['seedbed.seed'];
  const specText = metadata['seedbed.spec'];
  if (specText === undefined) return 'the file does not hold its spec';
  if (utf8.encode(specText).length > 8192) return 'the file holds a spec of more than 8192 bytes';
  const spec = parseSpec(specText);
  const tensors = layOut(spec);
  let offset = 0;
  const difference = (expected, place) => {
    const piece = actual.subarray(offset, offset + expected.length);
    if (!piece.equals(expected)) {
      const first = expected.findIndex((byte, i) => byte !== piece[i]);
      return `first difference at byte ${offset + first}, ${place}`;
    }
    offset += expected.length;
  };
  const wrong = difference(await header(seed, specText, spec, tensors), 'in the header');
  if (wrong) return wrong;
  for (const tensor of tensors) {
    for await (const piece of data(seed, tensor)) {
      const wrong = difference(piece, `in ${tensor.name} (${tensor.dtype}, ${tensor.init.scheme})`);
      if (wrong) return wrong;
    }
  }
  if (offset !== actual.length) return `${actual.length - offset} bytes past the end of the data`;
}

// ---------------------------------------------------------------- 7. Vectors

/** Yields [what, what is wrong with it or nothing] for each vector. */
async function* checkVectors(path) {
  const vectors = JSON.parse(readFileSync(path, 'utf8'));
  const compare = (actual, expected) => (actual === expected ? undefined : `${actual}, expected ${expected}`);
  for (const { seed, name, lane, key, start, words } of vectors.words) {
    const ownKey = await streamKey(seed, name, lane);
    const ownWords = await streamWords(ownKey, start, words.length);
    const text = Array.from(ownWords, (w) => w.toString(16).padStart(8, '0')).join(' ');
    yield [`words of ${seed}, ${name}, ${lane}, from ${start}`,
      compare(`${ownKey.toString('hex')} ${text}`, `${key} ${words.join(' ')}`)];
  }
  const key = await streamKey(42, 'fc.weight', 'values');
  for (const { distribution, dtype, start, hex } of vectors.draws) {
    const [, name, list] = /^(\w+)\((.*)\)$/.exec(distribution);
    const parameters = list.split(', ').map((text) => Number(text.replace('inf', 'Infinity')));
    const words = await streamWords(key, start, vectors.count);
    const draws = Float32Array.from(words, distributions[name](...parameters));
    yield [`${distribution} as ${dtype}, from ${start}`, compare(encode(dtype, draws).toString('hex'), hex)];
  }
}

async function* checkFiles(paths) {
  for (const path of paths) yield [path, await checkFile(path).catch((error) => `not readable: ${error.message}`)];
}

// ---------------------------------------------------------------- 8. Elementary functions

const float64View = new Float64Array(1);
const bits64View = new BigInt64Array(float64View.buffer);
const bits64 = (x) => ((float64View[0] = x), bits64View[0]);
const float64 = (n) => ((bits64View[0] = n), float64View[0]);

const LN2H = 6.9314718036912381649e-01;
const LN2L = 1.90821492927058770002e-10;
const LN2 = 6.93147180559945286227e-01;
const POLYNOMIALS = {
  P: [4.13813679705723846039e-08, -1.65339022054652515390e-06, 6.61375632143793436117e-05,
    -2.77777777770155933842e-03, 1.66666666666666019037e-01],
  L: [1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
    2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
    6.666666666666735130e-01],
  SIN: [1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
    -1.98412698298579493134e-04, 8.33333333332248946124e-03],
  COS: [-1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
    2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02],
};
const HALF_PI = [1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624871116645580e-21,
  8.47842766036889956997e-32];
const S0 = -1.66666666666666324348e-01;

const poly64 = (x, coefficients) => coefficients.reduce((v, c) => v * x + c);
const twoTo = (k) => float64(BigInt(k + 1023) << 52n);
const scale = (v, k) => { const h = Math.floor(k / 2); return v * twoTo(h) * twoTo(k - h); };

function expReduced(high, low) {
  const r = high - low;
  const q = r * r;
  const c = r - q * poly64(q, POLYNOMIALS.P);
  return 1 - ((low - (r * c) / (2 - c)) - high);
}

function exp(x) {
  const within = x < -745 ? -745 : x > 709 ? 709 : x;
  const k = roundHalfEven(within * 1.44269504088896338700);
  return scale(expReduced(within - k * LN2H, k * LN2L), k);
}

function exp2(x) {
  const within = x < -1022 ? -1022 : x > 1022 ? 1022 : x;
  const k = roundHalfEven(within);
  return scale(expReduced((within - k) * LN2, 0), k);
}

function log(x) {
  const cut = 0x3fe6a09e00000000n;
  const n = bits64(x) - cut;
  const k = Number(n >> 52n);
  const m = float64((n & 0xfffffffffffffn) + cut);
  const f = m - 1;
  const s = f / (2 + f);
  const z = s * s;
  const R = z * poly64(z, POLYNOMIALS.L);
  const h = 0.5 * f * f;
  return k * LN2H - ((h - (s * (h + R) + k * LN2L)) - f);
}

function expm1(x) {
  const u = exp(x);
  const d = u - 1;
  if (d === 0) return x;
  return u === 0 || Math.abs(x) > 40 ? d : (d * x) / log(u);
}

function turned(x, quarters) {
  const diff = (a, b) => { const d = a - b; const v = d - a; return [d, (a - (d - v)) - (b + v)]; };
  const n = roundHalfEven(x * 6.36619772367581382433e-01);
  const [second, lost] = diff(x - n * HALF_PI[0], n * HALF_PI[1]);
  const [third, again] = diff(second, n * HALF_PI[2]);
  const w = (lost + again) - n * HALF_PI[3];
  const y = third + w;
  const l = (third - y) + w;
  const q = y * y;
  const t = (((n + quarters) % 4) + 4) % 4;
  let value;
  if (t % 2 === 0) {
    const c = q * y;
    value = y - ((q * (0.5 * l - c * poly64(q, POLYNOMIALS.SIN)) - l) - c * S0);
  } else {
    const h = 0.5 * q;
    const u = 1 - h;
    value = u + (((1 - u) - h) + (q * (q * poly64(q, POLYNOMIALS.COS)) - y * l));
  }
  return t >= 2 ? -value : value;
}

const sin = (x) => turned(x, 0);
const cos = (x) => turned(x, 1);

// ---------------------------------------------------------------- the command

const [command, ...paths] = process.argv.slice(2);
if (!['vectors', 'file'].includes(command) || paths.length === 0) {
  console.error('usage: stream.mjs vectors JSON | stream.mjs file PATH...');
  process.exit(2);
}
let [passed, failed] = [0, 0];
for await (const [what, wrong] of command === 'file' ? checkFiles(paths) : checkVectors(paths[0])) {
  if (wrong) console.log(`FAILED ${what}: ${wrong}`);
  wrong ? failed++ : passed++;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
