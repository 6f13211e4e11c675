// Section 8 of docs/stream.md: exp, exp2, log, expm1, sin and cos of float64.

import { roundHalfEven } from './draws.mjs';

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

export function exp(x) {
  const within = x < -745 ? -745 : x > 709 ? 709 : x;
  const k = roundHalfEven(within * 1.44269504088896338700);
  return scale(expReduced(within - k * LN2H, k * LN2L), k);
}

export function exp2(x) {
  const within = x < -1022 ? -1022 : x > 1022 ? 1022 : x;
  const k = roundHalfEven(within);
  return scale(expReduced((within - k) * LN2, 0), k);
}

export function log(x) {
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

export function expm1(x) {
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

export const sin = (x) => turned(x, 0);
export const cos = (x) => turned(x, 1);
