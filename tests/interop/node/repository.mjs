// Uses a repository as JavaScript does, with @huggingface/hub, and prints what it found as JSON.
//
//   node repository.mjs HUB REPOSITORY REVISION CACHE

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  downloadFile, fileExists, listFiles, modelInfo, parseSafetensorsMetadata, pathsInfo, repoExists, snapshotDownload,
} from '@huggingface/hub';

const [hubUrl, repo, revision, cacheDir] = process.argv.slice(2);
const place = { repo, revision, hubUrl };
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

const files = [];
for await (const file of listFiles(place)) files.push(file.path);
const weights = files.filter((path) => path.endsWith('.safetensors'));
const first = await downloadFile({ ...place, path: weights[0] });
const parsed = await parseSafetensorsMetadata({ ...place, computeParametersCount: true });
const snapshot = await snapshotDownload({ ...place, cacheDir });
const again = await snapshotDownload({ ...place, cacheDir });
const content = await readFile(join(snapshot, weights[0]));

console.log(JSON.stringify({
  files,
  size: first.size,
  head: Buffer.from(await first.slice(0, 8).arrayBuffer()).toString('hex'),
  sharded: parsed.sharded,
  parameters: parsed.parameterTotal ?? Object.values(parsed.parameterCount).reduce((a, b) => a + b, 0),
  sha: (await modelInfo({ name: repo, revision, hubUrl, additionalFields: ['sha'] })).sha,
  main: (await modelInfo({ name: repo, hubUrl, additionalFields: ['sha'] })).sha,
  known: await repoExists({ repo, hubUrl }),
  unknown: await repoExists({ repo: 'nobody/nothing', hubUrl }),
  there: await fileExists({ ...place, path: weights[0] }),
  absent: await fileExists({ ...place, path: 'nonesuch' }),
  nothing: await downloadFile({ ...place, path: 'nonesuch' }),
  paths: (await pathsInfo({ ...place, paths: [weights[0], 'nonesuch'] })).map(({ path, size }) => ({ path, size })),
  snapshot,
  same: snapshot === again,
  sha256: sha256(content),
}));
