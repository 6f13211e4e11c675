// What is chosen in the form, as a spec for the service, and as the address of a file.

import { address } from "./api.js";
import { parametersIn } from "./fields.js";

/**
 * A shape as it is typed, as the service spells it: `256 × 784` and `(256, 784)` are `256x784`.
 * What is no shape stays as it is typed, for the service to refuse.
 */
export function shapeText(typed) {
  const text = typed.trim();
  if (text === "" || text.toLowerCase() === "scalar") return "scalar";
  const size = text.match(/^torch\.size\((.*)\)$/is)?.[1].trim() ?? text;
  const bracketed = size.match(/^\((.*)\)$|^\[(.*)\]$/s);
  let inner = size;
  if (bracketed) {
    inner = (bracketed[1] ?? bracketed[2]).trim();
    if (inner === "") return "scalar";
    inner = inner.replace(/,$/, "");
  }
  const separator = inner.includes(",") ? "," : /[x×*]/i.test(inner) ? /[x×*]/i : /\s+/;
  const parts = inner.split(separator).map((part) => part.trim());
  return parts.every((part) => /^(0|[1-9]\d{0,18})$/.test(part)) ? parts.join("x") : text;
}

/**
 * The choice.
 * @param {HTMLFormElement} form
 * @param {{schemeFields: HTMLElement, layerFields: HTMLElement}} containers of generated fields
 * @returns {{kind: string, spec: object, simple: string|null, saveAs: string, malformed?: boolean}}
 *   `simple` is an address that needs no plan first; a `malformed` shape cannot be in a spec at all
 */
export function choiceIn(form, { schemeFields, layerFields }) {
  const value = (name) => form.elements[name].value.trim();
  const kind = value("what");
  const scheme = value("scheme");
  const parameters = parametersIn(schemeFields);
  const init = scheme && (Object.keys(parameters).length ? { scheme, ...parameters } : scheme);
  const spec = { seed: value("seed") || "0", dtype: value("dtype") };
  if (kind === "tensor") {
    const name = value("name") || "weight";
    const shape = shapeText(value("shape"));
    const dimensions = shape === "scalar" ? [] : shape.split("x").map(Number);
    const malformed = !dimensions.every(Number.isFinite); // the file's own address says how
    const options = { seed: spec.seed, ...(spec.dtype === "F32" ? {} : { dtype: spec.dtype }) };
    if (name !== "weight") options.name = name;
    for (const [key, given] of Object.entries(parameters)) options[key] = String(given);
    const path = `v1/tensors/${encodeURIComponent(scheme)}/${encodeURIComponent(shape)}`;
    const simple = `${address(`${path}.safetensors`)}?${new URLSearchParams(options)}`;
    const tensors = [{ name, shape: dimensions, dtype: spec.dtype, init }]; // as that address means
    const saveAs = `${scheme}-${shape}.safetensors`;
    return { kind, spec: { seed: spec.seed, tensors }, simple, saveAs, malformed };
  }
  if (kind === "layer") {
    const type = value("layer");
    spec.layers = [{ type, name: "layer", ...parametersIn(layerFields) }];
    if (value("framework") !== "torch") spec.framework = value("framework");
    return { kind, ...overridden(spec, form, init), simple: null, saveAs: `${type}.safetensors` };
  }
  const preset = value("preset");
  spec.model = { preset };
  const query = new URLSearchParams({ seed: spec.seed });
  if (spec.dtype !== "F32") query.set("dtype", spec.dtype);
  const simple = address(`v1/models/${encodeURIComponent(preset)}/model.safetensors?${query}`);
  const saveAs = `${preset}.safetensors`;
  return { kind, ...overridden(spec, form, init), simple: init ? null : simple, saveAs };
}

/** A scheme that is chosen for one tensor of a layer or a model is a rule about that one. */
function overridden(spec, form, init) {
  const control = form.elements.tensor;
  const match = control.selectedOptions[0]?.dataset.rule;
  if (init && match) spec.rules = [{ match: match.replace(/[[\]*?]/g, "[$&]"), init }];
  return { spec };
}
