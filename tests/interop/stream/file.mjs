// Section 6 of docs/stream.md: the tensors of a spec, their places in files, and their bytes.

import { INTEGERS, RANKS, SIZES, distributions, encode, encodeConstant, float32Of } from './draws.mjs';
import { shardSizeOf, specDigest } from './identity.mjs';
import { byBytes } from './json.mjs';
import { ParameterArray, storedTensors } from './layers.mjs';
import { decide } from './rules.mjs';
import { asObject, resolveScheme } from './schemes.mjs';
import { streamKey, streamWords } from './words.mjs';

const utf8 = new TextEncoder();
const PIECE = 1 << 20;
const countOf = (shape) => Number(shape.reduce((a, b) => a * BigInt(b), 1n)); // one may pass 2^53 beside a 0

// ---------------------------------------------------------------- values

/** The values of a stream by a scheme that sees a shape: pieces of float32, or of one constant. */
async function* draws(seed, stream, init, count, shape, fans, dtype) {
  if (count === 0) return;
  if (init.scheme === 'parts') {
    yield { values: await composed(seed, stream, init, shape, fans, dtype) };
    return;
  }
  const { constant, draw, after = (x) => x, at, whole, listed, range } = resolveScheme(init, shape, fans);
  const isInteger = INTEGERS.includes(dtype);
  const kept = isInteger ? BigInt : float32Of;
  const key = await streamKey(seed, stream, 'values');
  if (whole) {
    const normals = async (n, std = 1) => Float32Array.from(await streamWords(key, 0, n), distributions.normal(0, std));
    const mask = async (n) => streamWords(await streamKey(seed, stream, 'mask'), 0, n);
    yield { values: Float32Array.from(await whole(init, shape, { normals, mask })) };
    return;
  }
  for (let start = 0; start < count; start += PIECE) {
    const length = Math.min(PIECE, count - start);
    if (at) yield { values: Float32Array.from({ length }, (_, i) => at(start + i)) };
    else if (listed) yield { values: Array.from({ length }, (_, i) => kept(listed(start + i, isInteger))) };
    else if (range) yield { values: (await randomIntegers(seed, stream, range, start, length)).map(kept) };
    else if (draw && dtype === 'C64') {
      const parts = Array.from(await streamWords(key, 2 * start, 2 * length), draw);
      yield { values: Array.from({ length }, (_, i) => [parts[2 * i], parts[2 * i + 1]]) };
    } else if (draw) yield { values: Float32Array.from(await streamWords(key, start, length), (w) => after(draw(w))) };
    else yield { constant, length };
  }
}

/** 3.8: integers of a range, from 64 bits each. */
async function randomIntegers(seed, stream, [low, high], start, length) {
  const wordsOf = async (lane, first, count) => {
    const words = await streamWords(await streamKey(seed, stream, lane), 2 * first, 2 * count);
    return Array.from({ length: count }, (_, i) => BigInt(words[2 * i]) | (BigInt(words[2 * i + 1]) << 32n));
  };
  const n = BigInt(high) - BigInt(low);
  const end = 2n ** 64n - (2n ** 64n % n);
  const found = await wordsOf('values', start, length);
  for (const [i] of found.entries()) {
    for (let lane = 1; found[i] >= end && lane < 64; lane++) [found[i]] = await wordsOf(`integers.${lane}`, start + i, 1);
  }
  return found.map((word) => BigInt(low) + (word % n));
}

/** All values of a stream by a scheme. */
async function all(...args) {
  const [isInteger, found] = [INTEGERS.includes(args.at(-1)), []];
  for await (const { values, constant, length } of draws(...args)) {
    if (values) for (const value of values) found.push(value);
    else for (let i = 0; i < length; i++) found.push(isInteger ? BigInt(constant) : float32Of(constant));
  }
  return found;
}

/** 5.5: the values of a tensor in parts. */
async function composed(seed, stream, { init, parts }, shape, fans, dtype) {
  const count = countOf(shape);
  const found = init ? await all(seed, stream, asObject(init), count, shape, fans, dtype) : Array(count);
  for (const [k, part] of parts.entries()) {
    const box = shape.map((size, axis) => part.box[axis] ?? [0, size]);
    const sizes = box.map(([start, stop]) => stop - start);
    let places = [0];
    for (const [axis, [start, stop]] of box.entries()) {
      const steps = Array.from({ length: stop - start }, (_, i) => start + i);
      places = places.flatMap((place) => steps.map((step) => place * shape[axis] + step));
    }
    const own = asObject(part.init);
    const resolved = resolveScheme(own, sizes);
    const isByElement = resolved.draw !== undefined || resolved.range !== undefined || isConstant(own);
    const values = isByElement
      ? await all(seed, stream, own, count, sizes, undefined, dtype)
      : await all(seed, `${stream}[${k}]`, own, countOf(sizes), sizes, undefined, dtype);
    places.forEach((place, i) => { found[place] = values[isByElement ? place : i]; });
  }
  return found;
}

const isConstant = ({ scheme }) => ['zeros', 'ones', 'constant'].includes(scheme);
const isPlain = (init, shape) => {
  if (init.scheme === 'parts') return false;
  const { draw, after } = resolveScheme(init, shape);
  return isConstant(init) || (draw !== undefined && after === undefined);
};

/** 6.1, Gates: the values of a tensor or parameter, block aside. */
async function* gateByGate(seed, { name, init, shape, fans, gates = 1, dtype }) {
  const ofGate = gates === 1 ? shape : [shape[0] / gates, ...shape.slice(1)];
  if (gates === 1 || isPlain(init, ofGate)) yield* draws(seed, name, init, countOf(shape), ofGate, fans, dtype);
  else for (let k = 0; k < gates; k++) yield* draws(seed, `${name}[${k}]`, init, countOf(ofGate), ofGate, fans, dtype);
}

/** 6.1, Blocks: the values with the rows that are constant. */
async function* valuesOf(seed, subject) {
  const { block, shape } = subject;
  const inner = block ? countOf(shape.slice(1)) : 0;
  const [from, to] = block ? [block.start * inner, block.stop * inner] : [0, 0];
  let place = 0;
  for await (const piece of gateByGate(seed, subject)) {
    const length = piece.values?.length ?? piece.length;
    const within = (at) => Math.min(Math.max(at - place, 0), length);
    const part = (start, stop) => (piece.values ? { values: piece.values.slice(start, stop) } : { ...piece, length: stop - start });
    yield part(0, within(from));
    yield { constant: block?.value, length: within(to) - within(from) };
    yield part(within(to), length);
    place += length;
  }
}

/** All values of a parameter as an array, in the kind of number that its own dtype has. */
async function arrayOf(seed, { root, name, shape, dtype }) {
  const [data, isZero] = [[], []];
  for await (const { values, constant, length } of valuesOf(seed, { ...root, dtype })) {
    if (values) for (const value of values) [data[data.length], isZero[isZero.length]] = [value, false];
    else if (length) {
      const value = INTEGERS.includes(dtype) ? BigInt(constant) : float32Of(constant);
      for (let i = 0; i < length; i++) [data[data.length], isZero[isZero.length]] = [value, Number(constant) === 0];
    }
  }
  return new ParameterArray(shape, data, isZero, [name]);
}

// ---------------------------------------------------------------- tensors

const ofSubject = ({ name, shape, dtype, root, isGuess, owner }) =>
  ({ name, shape, dtype, isGuess, owner, pieces: (seed) => valuesOf(seed, { ...root, dtype }) });

/** The tensors of a layer in the file of a framework other than torch. */
async function ofLayer(layer, framework, seed, subjects) {
  const own = subjects.filter((subject) => subject.layer === layer);
  const arrays = {};
  for (const subject of own) arrays[subject.parameter] = await arrayOf(seed, subject);
  return storedTensors(layer, framework, arrays).flatMap(({ name, array }) => {
    const sources = own.filter((subject) => array.sources.includes(subject.name));
    if (sources.length === 0) sources.push(own[0]); // zeros of no parameter
    if (sources.every(({ isDropped }) => isDropped)) return [];
    const first = own.find((subject) => subject.name === array.sources[0]) ?? own[0];
    return [{ name, shape: array.shape, dtype: first.dtype, pieces: async function* pieces() { yield { values: array.data }; } }];
  });
}

/** All tensors of a spec. */
async function tensorsOf(spec, seed) {
  const { framework = 'torch', layers = [] } = spec;
  const { subjects } = decide(spec);
  const isAsNamed = ({ owner }) => framework === 'torch' || owner !== 'layer';
  const tensors = subjects.filter((subject) => isAsNamed(subject) && !subject.isDropped).map(ofSubject);
  if (framework !== 'torch') {
    for (const layer of layers) tensors.push(...await ofLayer(layer, framework, seed, subjects));
  }
  return tensors.map((tensor) => ({ ...tensor, size: countOf(tensor.shape) * SIZES[tensor.dtype] }));
}

// ---------------------------------------------------------------- files

/** The `__metadata__` that every weight file of a spec has, but for the number of guesses. */
async function metadataOf(spec, canonical, seed, tensors) {
  const guessed = tensors.filter(({ isGuess }) => isGuess).length;
  return {
    ...spec.metadata,
    format: { keras: 'keras', flax: 'flax', nnx: 'flax' }[spec.framework] ?? 'pt',
    'seedbed.stream': '1',
    'seedbed.seed': String(seed),
    'seedbed.spec_sha256': await specDigest(canonical, spec.model),
    ...(utf8.encode(canonical).length <= 8192 ? { 'seedbed.spec': canonical } : {}),
    ...(guessed ? { 'seedbed.guessed': String(guessed) } : {}),
  };
}

/** Header length and header. */
function header(metadata, tensors) {
  const string = JSON.stringify;
  const members = Object.entries(metadata).sort(([a], [b]) => byBytes(a, b)).map(([key, value]) => `${string(key)}:${string(value)}`);
  let offset = 0;
  const entries = tensors.map(({ name, dtype, shape, size }) =>
    `,${string(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${offset},${(offset += size)}]}`);
  const text = utf8.encode(`{"__metadata__":{${members}}${entries.join('')}}`);
  const out = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  out.writeBigUInt64LE(BigInt(out.length - 8));
  out.set(text, 8);
  return out;
}

/** The pieces of a weight file with these tensors: { place, bytes }. */
async function* weights(spec, canonical, seed, tensors) {
  const ordered = tensors.toSorted((a, b) => RANKS.indexOf(a.dtype) - RANKS.indexOf(b.dtype) || byBytes(a.name, b.name));
  yield { place: 'the header', bytes: header(await metadataOf(spec, canonical, seed, ordered), ordered) };
  for (const { name, dtype, pieces } of ordered) {
    for await (const { values, constant, length } of pieces(seed)) {
      const place = `${name} (${dtype})`;
      if (values) yield { place, bytes: encode(dtype, values) };
      else if (SIZES[dtype] < 1) yield { place, bytes: encode(dtype, Array(length).fill(float32Of(constant))) };
      else if (length) yield { place, bytes: Buffer.alloc(length * SIZES[dtype], encodeConstant(dtype, constant)) };
    }
  }
}

/** The whole checkpoint as one file. */
export async function* wholeFile(spec, canonical, seed) {
  yield* weights(spec, canonical, seed, await tensorsOf(spec, seed));
}

// ---------------------------------------------------------------- 6.3 Shards

/** The tensors of each shard, in the order of the shards. */
function split(tensors, most) {
  const shards = [];
  let [current, size] = [[], 0];
  for (const tensor of tensors) {
    if (tensor.size > most) {
      shards.push([tensor]);
      continue;
    }
    if (size + tensor.size > most) {
      shards.push(current);
      [current, size] = [[], 0];
    }
    current.push(tensor);
    size += tensor.size;
  }
  if (current.length) shards.push(current);
  return shards;
}

/** ASCII JSON with an indent of two spaces and sorted keys. */
function indented(value) {
  const sorted = (one) => (one === null || typeof one !== 'object' ? one
    : Object.keys(one).sort(byBytes).map((key) => [key, sorted(one[key])]));
  const write = (one, space) => (Array.isArray(one)
    ? `{\n${one.map(([key, part]) => `${space}  ${JSON.stringify(key)}: ${write(part, `${space}  `)}`).join(',\n')}\n${space}}`
    : JSON.stringify(one));
  const escaped = write(sorted(value), '').replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `${escaped}\n`;
}

/** { name, isShard, pieces or content } of each weight file of a spec, and of their index. */
export async function weightFiles(spec, canonical, seed) {
  const tensors = await tensorsOf(spec, seed);
  const ofModel = tensors.filter(({ owner }) => owner === 'model');
  const others = tensors.filter(({ owner }) => owner !== 'model').sort((a, b) => byBytes(a.name, b.name));
  const shards = split([...ofModel, ...others], Number(shardSizeOf(spec)));
  if (shards.length <= 1) return [{ name: 'model.safetensors', pieces: weights(spec, canonical, seed, tensors) }];
  const number = (i) => String(i).padStart(5, '0');
  const names = shards.map((_, i) => `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  const total = (of) => tensors.reduce((sum, tensor) => sum + of(tensor), 0);
  const index = {
    metadata: { total_parameters: total(({ shape }) => countOf(shape)), total_size: total(({ size }) => size) },
    weight_map: Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]]))),
  };
  return [
    ...shards.map((shard, i) => ({ name: names[i], isShard: true, pieces: weights(spec, canonical, seed, shard) })),
    { name: 'model.safetensors.index.json', content: Buffer.from(indented(index)) },
  ];
}
