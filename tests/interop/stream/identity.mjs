// Section 9 of docs/stream.md: the canonical spec, its digest, ETags and the token.

import { inflateRawSync } from 'node:zlib';
import { canonicalInit } from './inits.mjs';
import { Spelled, asSpelled, byBytes, float, spell } from './json.mjs';
import { ARGUMENTS } from './layers.mjs';
import { entriesOf, isSaid, modelDigest } from './manifest.mjs';
import { decide } from './rules.mjs';
import { sha256 } from './words.mjs';

const UNCUT = 49_000_000_000; // the shard size that is not said
const FLOATS = ['init_values', 'forget_bias'];

const byName = (a, b) => byBytes(a.name, b.name);
const list = (members) => (members.length ? members : undefined);
const initOf = (init) => (init === undefined || init === null ? undefined : canonicalInit(init));
const unless = (value, by) => (value === by || value === null ? undefined : value);

function canonicalTensor({ name, shape, init, dtype, same_as }, spec) {
  return { name, shape, init: initOf(init), dtype: unless(dtype, spec.dtype ?? 'F32'), same_as: same_as ?? undefined };
}

/** An argument of a layer, or nothing if it is the default. */
function canonicalArgument(layer, name) {
  const value = layer[name];
  if (value === undefined || value === ARGUMENTS[layer.type][name]) return undefined;
  if (FLOATS.includes(name)) return Number(value) === ARGUMENTS[layer.type][name] ? undefined : new Spelled(float(Number(value) || 0));
  if (name === 'padding_idx' && value !== null) return (value + layer.num_embeddings) % layer.num_embeddings;
  if (!Array.isArray(value)) return value;
  const isOne = value.length === 1 || (name === 'kernel_size' && new Set(value).size === 1);
  return isOne ? value[0] : value;
}

function canonicalLayer(layer, spec) {
  const { type, name, init = {}, same_as, dtype, defaults } = layer;
  const inits = typeof init === 'string' || 'scheme' in init ? { weight: init } : init;
  const canonical = Object.entries(inits).map(([key, one]) => [key, canonicalInit(one)]);
  return {
    type, name, dtype: unless(dtype, spec.dtype ?? 'F32'), defaults: unless(defaults, 'torch'),
    same_as: same_as ?? undefined,
    init: canonical.length ? Object.fromEntries(canonical) : undefined,
    ...Object.fromEntries(Object.keys(ARGUMENTS[type]).map((key) => [key, canonicalArgument(layer, key)])),
  };
}

function canonicalModel(model, text) {
  if (!model) return undefined;
  if (!isSaid(model)) return asSpelled(text).model;
  const spelled = ({ shape, dtype, init, same_as }) =>
    ({ shape, dtype: dtype ?? undefined, init: initOf(init), same_as: same_as ?? undefined });
  if (model.list) return { list: model.list.map((entry) => ({ name: entry.name, ...spelled(entry) })) };
  const entries = entriesOf(model).map(({ name, shape, ...rest }) => {
    const entry = spelled({ shape, ...rest });
    return [name, Object.values(entry).filter((part) => part !== undefined).length > 1 ? entry : shape];
  });
  const range = Number(model.initializer_range ?? 0.02);
  return { manifest: Object.fromEntries(entries), initializer_range: range === 0.02 ? undefined : new Spelled(float(range)) };
}

/** 9.1: the canonical spec of a body; of a preset or config its text is needed too. */
export function canonicalText(spec, text) {
  const { dtype, framework, layers = [], tensors = [], metadata = {}, model } = spec;
  const isModelKnown = !model || isSaid(model);
  const rules = isModelKnown ? decide(spec).rules : spec.rules ?? [];
  return spell({
    dtype: unless(dtype ?? 'F32', 'F32'), framework: unless(framework ?? 'torch', 'torch'),
    layers: list(layers.toSorted(byName).map((layer) => canonicalLayer(layer, spec))),
    tensors: list(tensors.toSorted(byName).map((tensor) => canonicalTensor(tensor, spec))),
    rules: list(rules.map(({ match, init, dtype: code, drop, same_as, optional }) =>
      ({ match, optional: optional || undefined, init: initOf(init), dtype: code ?? undefined, drop: drop ?? undefined, same_as: same_as ?? undefined }))),
    metadata: Object.keys(metadata).length ? metadata : undefined,
    model: canonicalModel(model, text),
  });
}

const hex = async (text) => (await sha256(text)).toString('hex');

/** 9.2: the digest of a spec. */
export async function specDigest(canonical, model) {
  const ofModel = model ? `\n${await modelDigest(model)}` : '';
  return hex(`seedbed/spec/1\n${canonical}${ofModel}`);
}

/** 9.3: the ETag of a weight file; of a shard with the shard size. */
export async function weightsETag(digest, seed, name, shardSize) {
  const part = shardSize === undefined ? '' : `\n${shardSize}`;
  return (await hex(`seedbed/file/1\n${digest}\n${seed}\n${name}${part}`)).slice(0, 32);
}

/** 9.3: the ETag of any other file. */
export async function smallETag(name, content) {
  return (await sha256(Buffer.concat([Buffer.from(`seedbed/small/${name}\n`), content]))).toString('hex').slice(0, 32);
}

/** 9.4: the JSON that a token spells. */
export const inflated = (token) => inflateRawSync(Buffer.from(token, 'base64url')).toString();

/** 9.4: the JSON that the token of a spec spells; its files as the request's text has them. */
export function tokenText(canonical, seed, shardSize, text) {
  const shards = shardSize === UNCUT ? '' : `"max_shard_size":${shardSize},`;
  const { files = {} } = asSpelled(text);
  const beside = Object.keys(files).length ? `"files":${spell(files)},` : '';
  return `{"seed":${seed},${shards}${beside}${canonical.slice(1)}`;
}

export const shardSizeOf = (spec) => spec.max_shard_size ?? UNCUT;
