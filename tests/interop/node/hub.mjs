// Reads a file by its link with @huggingface/hub, and prints what it found as JSON.
//
//   node hub.mjs LINK TENSOR
//
// The library asks for paths of a hub. Only the address is changed on the way: the answers are the
// service's own. Any other file of the hub is absent.

import { downloadFile, parseSafetensorsMetadata } from '@huggingface/hub';

const [link, tensor] = process.argv.slice(2);
const place = { repo: 'any/model', path: 'model.safetensors', hubUrl: new URL(link).origin };

const requests = [];
async function fetchLink(address, options = {}) {
  if (!String(address).endsWith(place.path)) {
    return new Response('', { status: 404, headers: { 'x-error-code': 'EntryNotFound' } });
  }
  const answer = await fetch(link, options);
  const range = new Headers(options.headers).get('range');
  requests.push([options.method ?? 'GET', range, answer.status]);
  return answer;
}

const parsed = await parseSafetensorsMetadata({ ...place, fetch: fetchLink, computeParametersCount: true });
const blob = await downloadFile({ ...place, fetch: fetchLink });
const length = Buffer.from(await blob.slice(0, 8).arrayBuffer()).readBigUInt64LE();
const [start, stop] = parsed.header[tensor].data_offsets.map((offset) => 8 + Number(length) + offset);
const bytes = Buffer.from(await blob.slice(start, stop).arrayBuffer()).toString('hex');
console.log(JSON.stringify({ ...parsed, size: blob.size, bytes, requests }));
