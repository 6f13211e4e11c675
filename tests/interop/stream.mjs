// An independent reader of docs/stream.md: written from the document, from docs/layers.md, which it
// names, and from the vectors alone, it imports nothing of Seedbed. Its parts are in stream/, and
// their comments name the document's sections.
//
//   node tests/interop/stream.mjs vectors tests/golden/stream-v1.json
//   node tests/interop/stream.mjs file PATH...
//   node tests/interop/stream.mjs token TOKEN DIRECTORY
//   node tests/interop/stream.mjs identify PATH
//
// `file` takes seed and spec from each file's own metadata, regenerates the whole file from them,
// header and data, and compares every byte. `token` compares every weight file and the index of a
// checkpoint, shards or not, with what a token means. `identify` reads request bodies, one a line,
// and answers each with its identities as a line of JSON. Exit code 0 if all is equal, 1 if not, 2
// for misuse. Node 20 or later on a little-endian machine; no dependencies.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { distributions, encode } from './stream/draws.mjs';
import { weightFiles, wholeFile } from './stream/file.mjs';
import { canonicalText, inflated, shardSizeOf, smallETag, specDigest, tokenText, weightsETag } from './stream/identity.mjs';
import { isSaid } from './stream/manifest.mjs';
import { parseJson } from './stream/json.mjs';
import { streamKey, streamWords } from './stream/words.mjs';

/** What is wrong with the bytes of a file, piece by piece, or nothing. */
async function difference(actual, pieces) {
  let offset = 0;
  for await (const { place, bytes } of pieces) {
    const piece = actual.subarray(offset, offset + bytes.length);
    if (!piece.equals(bytes)) {
      const first = bytes.findIndex((byte, i) => byte !== piece[i]);
      return `first difference at byte ${offset + first}, in ${place}`;
    }
    offset += bytes.length;
  }
  if (offset !== actual.length) return `${actual.length - offset} bytes past the end of the data`;
}

/** Regenerates a file from its metadata; returns what is wrong with it, or nothing. */
async function checkFile(path) {
  const actual = readFileSync(path);
  const headerEnd = 8 + Number(actual.readBigUInt64LE());
  const metadata = JSON.parse(actual.toString('utf8', 8, headerEnd)).__metadata__;
  const text = metadata['seedbed.spec'];
  if (text === undefined) return 'the file does not hold its spec';
  return difference(actual, wholeFile(parseJson(text), text, BigInt(metadata['seedbed.seed'])));
}

async function* checkFiles(paths) {
  for (const path of paths) yield [path, await checkFile(path).catch((error) => `not readable: ${error.stack}`)];
}

/** Yields each weight file and the index of what a token means, with what is wrong with it. */
async function* checkToken(token, directory) {
  const { seed, ...spec } = parseJson(inflated(token));
  for (const { name, pieces, content } of await weightFiles(spec, canonicalText(spec), BigInt(seed))) {
    yield [name, await difference(readFileSync(join(directory, name)), pieces ?? [{ place: 'the index', bytes: content }])];
  }
}

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

/** The identities of a request body. Of a preset or config the document says only the first two. */
async function identify(text) {
  const spec = parseJson(text);
  const canonical = canonicalText(spec, text);
  const seed = BigInt(spec.seed ?? 0);
  const found = { canonical, token: tokenText(canonical, seed, shardSizeOf(spec), text) };
  if (spec.model && !isSaid(spec.model)) return found;
  const digest = await specDigest(canonical, spec.model);
  const etags = { 'model.safetensors': await weightsETag(digest, seed, 'model.safetensors') };
  for (const { name, isShard, content } of await weightFiles(spec, canonical, seed)) {
    if (isShard) etags[name] = await weightsETag(digest, seed, name, shardSizeOf(spec));
    else if (content) etags[name] = await smallETag(name, content);
  }
  return { ...found, digest, etags };
}

// ---------------------------------------------------------------- the command

const [command, ...paths] = process.argv.slice(2);
const checks = { vectors: () => checkVectors(paths[0]), file: () => checkFiles(paths), token: () => checkToken(...paths) };
if (command === 'identify' && paths.length === 1) {
  for (const line of readFileSync(paths[0], 'utf8').split('\n').filter(Boolean)) console.log(JSON.stringify(await identify(line)));
} else if (command in checks && paths.length > 0) {
  let [passed, failed] = [0, 0];
  for await (const [what, wrong] of checks[command]()) {
    if (wrong) console.log(`FAILED ${what}: ${wrong}`);
    wrong ? failed++ : passed++;
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
} else {
  console.error('usage: stream.mjs vectors JSON | file PATH... | token TOKEN DIRECTORY | identify PATH');
  process.exitCode = 2;
}
