// Sections 3 and 4 of docs/stream.md: words to float32, float32 to bytes.

import { ONE, f32Quotient, log2Ratio, roundDivide, tail } from './reals.mjs';
import { bits, f32, float, poly } from './words.mjs';

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

export function roundHalfEven(y) {
  const floor = Math.floor(y);
  const rest = y - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** Each distribution computes its parameters once and returns the function word → float32. */
export const distributions = {
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
export const SIZES = {
  U64: 8, I64: 8, F64: 8, C64: 8, F32: 4, U32: 4, I32: 4, BF16: 2, F16: 2, U16: 2, I16: 2,
  F8_E5M2FNUZ: 1, F8_E4M3FNUZ: 1, F8_E8M0: 1, F8_E4M3: 1, F8_E5M2: 1, I8: 1, U8: 1,
  F6_E3M2: 0.75, F6_E2M3: 0.75, F4: 0.5, BOOL: 1,
};
export const RANKS = Object.keys(SIZES);

/** Nearest float of a narrower type (width in bits, fraction bits, bias), ties to even. */
function narrow(pattern, width, fraction, bias) {
  const sign = pattern >>> 31;
  const biased = (pattern >>> 23) & 0xff;
  if (biased === 0xff) {
    const isNaN = (pattern & 0x7fffff) !== 0;
    if (isNaN && fraction === 3) return 0x7f;
    const exponents = (1 << (width - 1)) - (1 << fraction);
    return isNaN ? exponents | (1 << (fraction - 1)) : (sign << (width - 1)) | exponents;
  }
  const significand = (pattern & 0x7fffff) | (biased ? 0x800000 : 0);
  const exponent = Math.max(biased, 1) - 127 - (1 - bias); // above the least normal exponent
  const shift = Math.min(23 - fraction + Math.max(-exponent, 0), 26);
  const rounded = (significand + (1 << (shift - 1)) - 1 + ((significand >> shift) & 1)) >> shift;
  return (sign << (width - 1)) | ((Math.max(exponent, 0) << fraction) + rounded);
}

/** The same where there is no −0, and NaN has its pattern. */
function oneZero(pattern, fraction, bias) {
  if ((pattern & 0x7fffffff) > 0x7f800000) return 0x80;
  const rounded = narrow(pattern, 8, fraction, bias);
  return rounded === 0x80 ? 0 : rounded;
}

/** The exponent of the nearest power of two, by one more bit of the fraction. */
function powerOfTwo(pattern) {
  const [exponent, fraction] = [pattern >>> 23, pattern & 0x7fffff];
  if (pattern > 0x7f800000) return 0xff;
  return exponent + (fraction > 0x400000 || (fraction === 0x400000 && exponent & 1) ? 1 : 0);
}

/** Numbers of a few bits each as bytes, from the lowest bit up. */
function packed(codes, bits) {
  const out = new Uint8Array((codes.length * bits) / 8);
  codes.forEach((code, index) => {
    for (let bit = 0; bit < bits; bit++) {
      const at = index * bits + bit;
      out[at >> 3] |= ((code >> bit) & 1) << (at & 7);
    }
  });
  return out;
}

const rounded = (v, one) => Array.from(new Uint32Array(v.buffer), one);

const encoders = {
  F32: (v) => v,
  F64: (v) => Float64Array.from(v),
  BF16: (v) => Uint16Array.from(new Uint32Array(v.buffer), (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16),
  F16: (v) => Uint16Array.from(new Uint32Array(v.buffer), (b) => narrow(b, 16, 10, 15)),
  F8_E4M3: (v) => Uint8Array.from(new Uint32Array(v.buffer), (b) => narrow(b, 8, 3, 7)),
  F8_E5M2: (v) => Uint8Array.from(new Uint32Array(v.buffer), (b) => narrow(b, 8, 2, 15)),
  F8_E4M3FNUZ: (v) => Uint8Array.from(rounded(v, (b) => oneZero(b, 3, 8))),
  F8_E5M2FNUZ: (v) => Uint8Array.from(rounded(v, (b) => oneZero(b, 2, 16))),
  F8_E8M0: (v) => Uint8Array.from(rounded(v, powerOfTwo)),
  F6_E2M3: (v) => packed(rounded(v, (b) => narrow(b, 6, 3, 1)), 6),
  F6_E3M2: (v) => packed(rounded(v, (b) => narrow(b, 6, 2, 3)), 6),
  F4: (v) => packed(rounded(v, (b) => narrow(b, 4, 1, 1)), 4),
};

/** The bytes of float32 numbers in a float dtype, or of integers in one of theirs. */
export function encode(dtype, values) {
  if (dtype === 'C64') { // pairs, or a constant, which is real
    return Buffer.from(Float32Array.from(Array.from(values, (v) => (Array.isArray(v) ? v : [v, 0])).flat()).buffer);
  }
  if (dtype in encoders) return Buffer.from(encoders[dtype](Float32Array.from(values)).buffer);
  return Buffer.concat(Array.from(values, (value) =>
    Buffer.from(BigInt64Array.of(BigInt(value)).buffer, 0, SIZES[dtype])));
}

const isFloat = (dtype) => dtype === 'C64' || dtype in encoders;

export const INTEGERS = RANKS.filter((dtype) => !isFloat(dtype));

/** The least and the greatest integer that a dtype holds. */
export const RANGES = Object.fromEntries(INTEGERS.map((dtype) => {
  const width = BigInt(8 * SIZES[dtype]);
  if (dtype === 'BOOL') return [dtype, [0n, 1n]];
  return [dtype, dtype[0] === 'U' ? [0n, 2n ** width - 1n] : [-(2n ** (width - 1n)), 2n ** (width - 1n) - 1n]];
}));

/** 3.7: the float32 nearest to a number as written. */
export const float32Of = (value) => (typeof value === 'bigint' ? f32Quotient(value, 1n) : f32(Number(value)));

/** 3.7: the bytes of one element of a constant. */
export const encodeConstant = (dtype, value) => encode(dtype, [isFloat(dtype) ? float32Of(value) : value]);
