// The dtypes of safetensors: their sizes, what their bits mean, and how they round.

export const SIZES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

const FEW_BITS = {
  F16: { exponentBits: 5, mantissaBits: 10, infinities: true },
  BF16: { exponentBits: 8, mantissaBits: 7, infinities: true },
  F8_E5M2: { exponentBits: 5, mantissaBits: 2, infinities: true },
  F8_E4M3: { exponentBits: 4, mantissaBits: 3, infinities: false },
};

/**
 * Little-endian values as float64.
 * @param {Uint8Array} bytes
 * @param {string} dtype of safetensors
 * @returns {Float64Array}
 */
export function decode(bytes, dtype) {
  const aligned = bytes.slice().buffer;
  if (dtype in FEW_BITS) {
    const words = SIZES[dtype] === 2 ? new Uint16Array(aligned) : new Uint8Array(aligned);
    return Float64Array.from(words, (bits) => valueOf(bits, FEW_BITS[dtype]));
  }
  const kinds = {
    F64: Float64Array,
    F32: Float32Array,
    I64: BigInt64Array,
    U64: BigUint64Array,
    I32: Int32Array,
    I16: Int16Array,
    I8: Int8Array,
    U32: Uint32Array,
    U16: Uint16Array,
    U8: Uint8Array,
    BOOL: Uint8Array,
  };
  return Float64Array.from(new kinds[dtype](aligned), Number);
}

/** A float of few bits. Without infinities (e4m3fn) only all ones are not a number. */
function valueOf(bits, { exponentBits, mantissaBits, infinities }) {
  const sign = bits >> (exponentBits + mantissaBits) ? -1 : 1;
  const exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
  const mantissa = bits & ((1 << mantissaBits) - 1);
  const last = (1 << exponentBits) - 1;
  const bias = (1 << (exponentBits - 1)) - 1;
  if (exponent === last && infinities) return mantissa ? NaN : sign * Infinity;
  if (exponent === last && mantissa === (1 << mantissaBits) - 1) return NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The nearest number that a dtype has, but for its ends: where a quantile comes to lie. */
export function rounded(value, dtype) {
  if (dtype === "F32") return Math.fround(value);
  if (!(dtype in FEW_BITS) || value === 0) return value;
  const { exponentBits, mantissaBits } = FEW_BITS[dtype];
  const lowest = 2 - (1 << (exponentBits - 1));
  const exponent = Math.max(lowest, Math.floor(Math.log2(Math.abs(value))));
  const step = 2 ** (exponent - mantissaBits);
  return Math.round(value / step) * step;
}
