// A safetensors file read by ranges: its header, and the first bytes of one tensor, never the rest.

import { ask, Problem } from "./api.js";

const OPENING_BYTES = 1 << 16;
const MAX_HEADER_BYTES = 1 << 24;

const SIZES = {
  F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1,
  I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1,
};

/**
 * Some bytes of a file, and how they were sent.
 * @returns {Promise<{bytes: Uint8Array, status: number, size: number, etag: string}>}
 * @throws {Problem}
 */
async function readRange(url, start, stop, signal) {
  const headers = { range: `bytes=${start}-${stop - 1}` };
  const response = await ask(url, { headers, signal });
  const etag = response.headers.get("etag") ?? "";
  if (response.status === 206) {
    const size = Number(response.headers.get("content-range").split("/")[1]);
    return { bytes: new Uint8Array(await response.arrayBuffer()), status: 206, size, etag };
  }
  // Something between us has taken the range away: read no further than was asked.
  const size = Number(response.headers.get("content-length"));
  const bytes = (await upTo(response.body, stop)).subarray(start);
  return { bytes, status: response.status, size, etag };
}

async function upTo(stream, stop) {
  const parts = [];
  let length = 0;
  const reader = stream.getReader();
  while (length < stop) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  await reader.cancel();
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.subarray(0, Math.min(length, stop));
}

/**
 * The header of a file, and the first bytes that came with it.
 * @param {string} url
 * @param {AbortSignal} [signal]
 */
export async function readHeader(url, signal) {
  const opening = await readRange(url, 0, OPENING_BYTES, signal);
  const view = new DataView(opening.bytes.buffer, opening.bytes.byteOffset, 8);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    throw new Problem({ title: "The header is too long for this page", detail: `${length} bytes` });
  }
  let bytes = opening.bytes;
  if (bytes.length < 8 + length) {
    bytes = (await readRange(url, 0, 8 + length, signal)).bytes;
  }
  const { __metadata__: metadata, ...tensors } = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + length)),
  );
  return { metadata, tensors, start: 8 + length, bytes, size: opening.size, etag: opening.etag };
}

/**
 * Values of one tensor, from one range.
 * @param {string} url
 * @param {object} header from `readHeader`
 * @param {string} name of the tensor
 * @param {number} wanted how many values at most
 * @param {"start"|"middle"|"end"} where in the tensor
 * @param {AbortSignal} [signal]
 */
export async function readValues(url, header, name, wanted, where, signal) {
  const { dtype, shape, data_offsets: [begin, end] } = header.tensors[name];
  const itemSize = SIZES[dtype];
  const total = (end - begin) / itemSize;
  const count = Math.min(wanted, total);
  const rest = total - count;
  const first = { start: 0, middle: Math.floor(rest / 2), end: rest }[where];
  const start = header.start + begin + first * itemSize;
  const stop = start + count * itemSize;
  const range = { start, stop, status: 206, size: header.size };
  if (count === 0) return { values: new Float64Array(0), dtype, shape, first, total, range };
  let bytes;
  if (stop <= header.bytes.length) bytes = header.bytes.subarray(start, stop);
  else {
    const read = await readRange(url, start, stop, signal);
    if (read.etag !== header.etag || read.size !== header.size) {
      throw new Problem({ title: "The file changed while it was read", detail: read.etag });
    }
    bytes = read.bytes;
    range.status = read.status;
  }
  if (bytes.length !== stop - start) {
    throw new Problem({
      title: "The answer was cut off",
      detail: `${bytes.length} bytes came of ${stop - start}.`,
    });
  }
  return { values: decode(bytes, dtype), dtype, shape, first, total, range };
}

/**
 * Little-endian values as float64.
 * @param {Uint8Array} bytes
 * @param {string} dtype of safetensors
 * @returns {Float64Array}
 */
export function decode(bytes, dtype) {
  const aligned = bytes.slice().buffer;
  switch (dtype) {
    case "F64":
      return new Float64Array(aligned);
    case "F32":
      return Float64Array.from(new Float32Array(aligned));
    case "BF16": {
      const wide = Uint32Array.from(new Uint16Array(aligned), (bits) => bits << 16);
      return Float64Array.from(new Float32Array(wide.buffer));
    }
    case "F16":
      return Float64Array.from(new Uint16Array(aligned), (bits) => small(bits, 5, 10, true));
    case "F8_E5M2":
      return Float64Array.from(new Uint8Array(aligned), (bits) => small(bits, 5, 2, true));
    case "F8_E4M3":
      return Float64Array.from(new Uint8Array(aligned), (bits) => small(bits, 4, 3, false));
    case "I64":
      return Float64Array.from(new BigInt64Array(aligned), Number);
    case "U64":
      return Float64Array.from(new BigUint64Array(aligned), Number);
    default: {
      const kinds = {
        I32: Int32Array, I16: Int16Array, I8: Int8Array,
        U32: Uint32Array, U16: Uint16Array, U8: Uint8Array, BOOL: Uint8Array,
      };
      if (!(dtype in kinds)) throw new Problem({ title: `This page cannot read ${dtype}` });
      return Float64Array.from(new kinds[dtype](aligned));
    }
  }
}

/** A float of few bits. Without infinities (e4m3fn) only all ones are not a number. */
function small(bits, exponentBits, mantissaBits, infinities) {
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
