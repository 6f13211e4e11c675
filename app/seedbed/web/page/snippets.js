// The same file by curl, in Python and in JavaScript: text that runs as it stands.

const VIEWS = { F64: "Float64Array", F32: "Float32Array" };
const RAW = {
  F16: ["Uint16Array", "bits"],
  BF16: ["Uint16Array", "bits"],
  F8_E4M3: ["Uint8Array", "bits"],
};
const IMPORTS = { torch: "torch", keras: "numpy", flax: "flax", nnx: "flax" };

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const string = (text) => JSON.stringify(text);

/**
 * @param {{url: string|null, posted: string, spec: object, tensor: string, dtype: string,
 *   saveAs: string}} file `url` is null if only a POST of the spec leads to it
 * @returns {{curl: string, python: string, js: string}}
 */
export function snippets(file) {
  return { curl: curl(file), python: python(file), js: javascript(file) };
}

function curl({ url, posted, spec, saveAs }) {
  const save = `curl --fail-with-body -o ${saveAs}`;
  if (url) return `${save} \\\n  ${shellQuoted(url)}`;
  return `${save} \\\n  --json ${shellQuoted(JSON.stringify(spec))} \\\n  ${posted}`;
}

function python({ url, posted, spec, tensor }) {
  const library = IMPORTS[spec.framework ?? "torch"] ?? "torch";
  const lines = [
    `from urllib.request import ${url ? "urlopen" : "Request, urlopen"}`,
    `from safetensors.${library} import load`,
    "",
  ];
  if (url) lines.push(`url = ${string(url)}`, "weights = load(urlopen(url).read())");
  else {
    lines.push(
      `spec = ${pythonBytes(JSON.stringify(spec))}`,
      `request = Request(${string(posted)}, spec, {"content-type": "application/json"})`,
      "weights = load(urlopen(request).read())",
    );
  }
  lines.push(`print(weights[${string(tensor)}].std())`);
  return lines.join("\n");
}

const pythonBytes = (text) => `r'''${text}'''.encode()`;

function javascript({ url, posted, spec, tensor, dtype }) {
  const [view, name] = VIEWS[dtype] ? [VIEWS[dtype], "weights"] : (RAW[dtype] ?? RAW.F8_E4M3);
  const ask = url
    ? [`const answer = await fetch(${string(url)});`]
    : [
        `const answer = await fetch(${string(posted)}, {`,
        '  method: "POST",',
        '  headers: { "content-type": "application/json" },',
        `  body: ${string(JSON.stringify(spec))},`,
        "});",
      ];
  return [
    ...ask,
    "const file = await answer.arrayBuffer();",
    "const start = 8 + Number(new DataView(file).getBigUint64(0, true));",
    "const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, start - 8)));",
    `const [from, to] = header[${string(tensor)}].data_offsets;`,
    `const ${name} = new ${view}(file.slice(start + from, start + to));`,
    `console.log(${name}.length, ${name}[0]);`,
  ].join("\n");
}
