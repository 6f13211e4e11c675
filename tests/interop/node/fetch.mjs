// Fetches a link with Node's own fetch, whole or in a range, and prints the answer as JSON.
//
//   node fetch.mjs LINK [RANGE]

import { createHash } from 'node:crypto';

const [link, range] = process.argv.slice(2);
const answer = await fetch(link, { headers: range ? { range } : {} });
const body = Buffer.from(await answer.arrayBuffer());
console.log(JSON.stringify({
  status: answer.status,
  headers: Object.fromEntries(answer.headers),
  length: body.length,
  sha256: createHash('sha256').update(body).digest('hex'),
}));
