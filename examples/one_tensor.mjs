// Fetch one tensor of a model by range, in a browser or in Node, with no package.
//
//   node examples/one_tensor.mjs 'http://127.0.0.1:8000/v1/models/resnet50/model.safetensors?seed=42' conv1.weight

const [url, name] = process.argv.slice(2);

async function read(start, stop) {
  const answer = await fetch(url, { headers: { range: `bytes=${start}-${stop - 1}` } });
  if (answer.status !== 206) throw new Error(`${answer.status}: ${await answer.text()}`);
  return answer.arrayBuffer();
}

const length = Number(new DataView(await read(0, 8)).getBigUint64(0, true));
const header = JSON.parse(new TextDecoder().decode(await read(8, 8 + length)));
const { shape, data_offsets: [start, stop] } = header[name];
const weights = new Float32Array(await read(8 + length + start, 8 + length + stop));

const mean = weights.reduce((sum, one) => sum + one, 0) / weights.length;
const square = weights.reduce((sum, one) => sum + (one - mean) ** 2, 0) / weights.length;
console.log(JSON.stringify({ name, shape, std: Math.sqrt(square), first: weights[0] }));
