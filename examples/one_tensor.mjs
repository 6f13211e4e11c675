// Fetch one tensor of a model by range, in Node or in a browser, with no package. Any dtype: numbers
// of 8 and 16 bits are widened, of I64 and U64 they are BigInts.
//
//   node examples/one_tensor.mjs 'http://127.0.0.1:8000/v1/models/resnet50/model.safetensors?seed=42' conv1.weight

const ARRAYS = {
  F64: Float64Array, F32: Float32Array, I64: BigInt64Array, U64: BigUint64Array,
  I32: Int32Array, U32: Uint32Array, I16: Int16Array, U16: Uint16Array, I8: Int8Array,
  U8: Uint8Array, BOOL: Uint8Array,
};
// Sign, exponent and mantissa of narrow floats: bits of the mantissa, bias, and whether the highest
// exponent holds infinities, as in IEEE 754.
const NARROW = {
  BF16: [Uint16Array, 16, 7, 127, true], F16: [Uint16Array, 16, 10, 15, true],
  F8_E5M2: [Uint8Array, 8, 2, 15, true], F8_E4M3: [Uint8Array, 8, 3, 7, false],
};

function widened(code, [array, width, mantissa, bias, infinities]) {
  return Float32Array.from(new array(code), (bits) => {
    const sign = bits >> (width - 1) ? -1 : 1;
    const field = (bits & ((1 << (width - 1)) - 1)) >> mantissa;
    const rest = bits & ((1 << mantissa) - 1);
    const top = (1 << (width - 1 - mantissa)) - 1;
    if (infinities && field === top) return rest ? NaN : sign * Infinity;
    if (!infinities && field === top && rest === (1 << mantissa) - 1) return NaN;
    return field === 0
      ? sign * rest * 2 ** (1 - bias - mantissa)
      : sign * (1 + rest / 2 ** mantissa) * 2 ** (field - bias);
  });
}

export async function fetchTensor(url, name) {
  async function read(start, stop) {
    if (start === stop) return new ArrayBuffer(0);
    const answer = await fetch(url, { headers: { range: `bytes=${start}-${stop - 1}` } });
    if (answer.status !== 206) throw new Error(`${answer.status}: ${await answer.text()}`);
    return answer.arrayBuffer();
  }

  const length = Number(new DataView(await read(0, 8)).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(await read(8, 8 + length)));
  if (!Object.hasOwn(header, name) || name === '__metadata__') throw new Error(`there is no tensor ${name}`);
  const { dtype, shape, data_offsets: [start, stop] } = header[name];
  const content = await read(8 + length + start, 8 + length + stop);
  if (NARROW[dtype]) return { dtype, shape, values: widened(content, NARROW[dtype]) };
  if (ARRAYS[dtype]) return { dtype, shape, values: new ARRAYS[dtype](content) };
  return { dtype, shape, values: new Uint8Array(content) }; // bits, as F4 has them
}

const [url, name] = typeof process === 'undefined' ? [] : process.argv.slice(2);
if (url) { // run, and not imported
  const { dtype, shape, values } = await fetchTensor(url, name);
  const numbers = Array.from(values, Number);
  const mean = numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  const square = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / numbers.length;
  console.log(JSON.stringify({ name, dtype, shape, std: Math.sqrt(square), first: numbers[0] }));
}
