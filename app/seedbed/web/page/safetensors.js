// A safetensors file read by ranges: its header, and the first bytes of one tensor, never the rest.

import { ask, Problem } from "./api.js";
import { decode, SIZES } from "./floats.js";

const OPENING_BYTES = 1 << 16;
const MAX_HEADER_BYTES = 1 << 24;

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
  const { size, etag, status } = opening;
  return { metadata, tensors, start: 8 + length, bytes, size, etag, status };
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
  const {
    dtype,
    shape,
    data_offsets: [begin, end],
  } = header.tensors[name];
  const itemSize = SIZES[dtype];
  const total = (end - begin) / itemSize;
  const count = Math.min(wanted, total);
  const rest = total - count;
  const first = { start: 0, middle: Math.floor(rest / 2), end: rest }[where];
  const start = header.start + begin + first * itemSize;
  const stop = start + count * itemSize;
  const range = { start, stop, status: header.status, size: header.size };
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
