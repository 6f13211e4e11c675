// Sections 0 to 2 of docs/stream.md: float32 arithmetic, the key of a stream, its words.

import { webcrypto } from 'node:crypto';

const { subtle } = webcrypto;
const utf8 = new TextEncoder();

/** SHA-256 of text or bytes. */
export const sha256 = async (content) =>
  Buffer.from(await subtle.digest('SHA-256', typeof content === 'string' ? utf8.encode(content) : content));

// ---------------------------------------------------------------- 0. Conventions

export const f32 = Math.fround;
const float32View = new Float32Array(1);
const bits32View = new Uint32Array(float32View.buffer);
export const bits = (x) => ((float32View[0] = x), bits32View[0]);
export const float = (n) => ((bits32View[0] = n), float32View[0]);

/** Horner's rule, highest power first, every operation rounded to float32. */
export function poly(x, coefficients) {
  let v = coefficients[0];
  for (let k = 1; k < coefficients.length; k++) v = f32(f32(v * x) + coefficients[k]);
  return v;
}

// ---------------------------------------------------------------- 1. Key

export async function streamKey(seed, name, lane) {
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
  return (await sha256(content)).subarray(0, 16);
}

// ---------------------------------------------------------------- 2. Words

export async function streamWords(key, start, count) {
  const counter = Buffer.alloc(16);
  counter.writeBigUInt64BE(BigInt(Math.floor(start / 4)), 8);
  const skip = start % 4;
  const aes = await subtle.importKey('raw', key, 'AES-CTR', false, ['encrypt']);
  const zeros = new Uint8Array(4 * (skip + count));
  return new Uint32Array(await subtle.encrypt({ name: 'AES-CTR', counter, length: 128 }, aes, zeros), 4 * skip);
}
