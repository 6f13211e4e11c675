// Fields of a form from the catalogue: a parameter's name, default, description and JSON Schema.

import { h, prose } from "./dom.js";

/** What layers begin with: sizes as networks have them, since a catalogue's examples are tiny. */
export const SIZES = {
  in_features: 784,
  out_features: 256,
  in1_features: 64,
  in2_features: 64,
  r: 8,
  in_channels: 64,
  out_channels: 128,
  num_channels: 64,
  num_groups: 32,
  num_features: 64,
  num_embeddings: 10000,
  embedding_dim: 256,
  normalized_shape: 512,
  dim: 256,
  input_size: 128,
  hidden_size: 256,
  embed_dim: 256,
  num_heads: 8,
  d_model: 256,
  nhead: 8,
  dim_feedforward: 1024,
};

let made = 0;

/**
 * A labelled control for one parameter. Left empty, the parameter is not sent, and has its default.
 * @param {{name: string, required: boolean, default: unknown, description: string,
 *   json_schema: object}} parameter
 * @param {string} prefix of the control's name
 * @param {unknown} example what to begin with, if not with the default
 */
export function field(parameter, prefix, example) {
  const id = `field-${(made += 1)}`;
  const schema = parameter.json_schema;
  const kinds = (schema.anyOf ?? [schema]).map((kind) => kind.type);
  const common = { id, name: prefix + parameter.name, "aria-describedby": `${id}-note` };
  const usual = parameter.required ? "" : spelled(parameter.default);
  let control;
  if (schema.enum) {
    control = select(common, schema.enum, usual);
    if (example !== undefined) control.value = spelled(example);
  } else if (kinds.length === 1 && kinds[0] === "boolean") {
    control = select(common, ["true", "false"], usual);
    if (example !== undefined) control.value = spelled(example);
  } else {
    const whole = kinds.every((kind) => kind === "integer" || kind === "null");
    control = h("input", {
      ...common,
      type: "text",
      inputmode: kinds.includes("array") ? "text" : whole ? "numeric" : "decimal",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: usual || (parameter.required ? "" : "none"),
      required: parameter.required,
    });
    if (example !== undefined) control.value = spelled(example);
    control.dataset.usual = "";
  }
  control.dataset.parameter = parameter.name;
  return h(
    "div.field",
    {},
    h("label", { for: id }, h("code", {}, parameter.name), parameter.required ? " (needed)" : ""),
    control,
    h("p.note", { id: `${id}-note` }, prose(parameter.description)),
  );
}

/**
 * The parameters that a container's controls stand for, without those left as they are.
 * @returns {Object<string, unknown>}
 */
export function parametersIn(container) {
  const given = {};
  for (const control of container.querySelectorAll("[data-parameter]")) {
    const text = control.value.trim();
    if (text !== control.dataset.usual) given[control.dataset.parameter] = meant(text);
  }
  return given;
}

/** Options of a select, one of them chosen. */
export function select(attributes, values, chosen) {
  const control = h(
    "select",
    attributes,
    values.map((value) => h("option", { value, selected: value === chosen }, value)),
  );
  control.dataset.usual = chosen ?? "";
  return control;
}

/** A value as it is typed: 3, true, null, 3, 5. */
function spelled(value) {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** What was typed, as JSON has it; what is no number stays text, for the service to refuse. */
function meant(text) {
  if (/^[[(]?\s*\d+\s*([,x]\s*\d+\s*)+[\])]?$/.test(text)) return text.match(/\d+/g).map(Number);
  try {
    return JSON.parse(text.replace("−", "-"));
  } catch {
    return text;
  }
}
