// Choose something, and see the file that it means: planned by the service, read by ranges.

import { opened, pairsOf, remember, restore } from "./location.js";
import { address, ask, post, Problem } from "./api.js";
import { setUpBed, sow } from "./bed.js";
import { choiceIn } from "./choice.js";
import { announce, byId, debounced, fill, h, prose } from "./dom.js";
import { field, SIZES } from "./fields.js";
import { setUpFile } from "./file.js";
import { formula } from "./formulas.js";
import { showProblem, unmark } from "./problems.js";
import { showNumbers, showPlots } from "./sample.js";
import { readHeader, readValues } from "./safetensors.js";
import { bytes, count, spelled } from "./words.js";

const QUIET_MILLISECONDS = 200;

/**
 * Bring the section to life.
 * @param {{schemes: object[], layers: object[], dtypes: object[],
 *   models: Promise<object[]|null>}} all models are waited for only if one is to be shown
 */
export async function setUpDraw({ schemes, layers, dtypes, models: coming }) {
  const form = byId("choice");
  const { elements } = form;
  const containers = { schemeFields: byId("scheme-fields"), layerFields: byId("layer-fields") };
  const schemeOf = new Map(schemes.map((scheme) => [scheme.name, scheme]));
  const layerOf = new Map(layers.map((layer) => [layer.type, layer]));
  let asked = null;

  setUpBed(byId("bed"));
  const file = setUpFile();

  options(
    elements.layer,
    layers.map(({ type }) => type),
  );
  options(
    elements.dtype,
    dtypes.map(({ code }) => code),
    "F32",
  );
  let models = [];
  const ready = coming.then((all) => {
    models = all ?? [];
    if (!models.length) return;
    byId("what-model").hidden = false;
    options(
      elements.preset,
      models.map(({ name }) => name),
    );
    elements.preset.dataset.usual = models[0].name;
  });
  if (opened.get("what") === "model") await ready;
  else ready.catch((error) => console.warn(`no models for now: ${error.message}`));
  for (const radio of form.querySelectorAll('[name="what"]')) restore(radio);
  if (!models.length && elements.what.value === "model") elements.what.value = "tensor";
  kindChanged();
  for (const name of ["layer", "preset", "framework", "scheme"]) restore(elements[name]);
  layerChanged();
  schemeChanged();
  for (const control of form.elements)
    if (control.name && control.type !== "radio") restore(control);
  const dtype = opened.get("dtype")?.toLowerCase().replace(/^\w+\./, "");
  const chosenDtype = dtypes.find((one) => [one.code.toLowerCase(), ...one.spellings].includes(dtype));
  if (chosenDtype) elements.dtype.value = chosenDtype.code;
  const wantedTensor = opened.get("tensor");
  if (wantedTensor) options(elements.tensor, [wantedTensor]);

  /** Show the controls of what is chosen, and the schemes that make sense for it. */
  function kindChanged() {
    const kind = elements.what.value;
    for (const part of form.querySelectorAll("[data-for]")) {
      part.hidden = !part.dataset.for.split(" ").includes(kind);
    }
    const before = elements.scheme.value;
    const names = schemes.map(({ name }) => name);
    options(elements.scheme, names, "he_normal");
    if (kind !== "tensor") {
      const own = kind === "layer" ? "the layer's own" : "the model's own";
      elements.scheme.prepend(h("option", { value: "" }, own));
      elements.scheme.value = "";
    }
    elements.scheme.dataset.usual = kind === "tensor" ? "he_normal" : "";
    if (kind === "tensor" && before) elements.scheme.value = before;
  }

  function layerChanged() {
    const layer = layerOf.get(elements.layer.value);
    fill(byId("layer-note"), prose(layer.summary.split("\n")[0]));
    fill(
      containers.layerFields,
      layer.arguments.map((argument) =>
        field(argument, "layer.", startOf(argument, layer.example)),
      ),
    );
    fill(elements.tensor);
  }

  function schemeChanged() {
    const scheme = schemeOf.get(elements.scheme.value);
    fill(containers.schemeFields, scheme?.parameters.map((one) => field(one, "p.")) ?? []);
    byId("parameters").hidden = !scheme?.parameters.length;
    byId("parameters").open = Boolean(scheme?.parameters.some(({ required }) => required));
    byId("scheme-formula").hidden = !scheme;
    fill(byId("scheme-formula"), scheme ? formula(scheme.latex, scheme.formula) : null);
    fill(byId("scheme-note"), prose(scheme?.summary.split("\n")[0] ?? "As each tensor is drawn."));
    countParameters();
  }

  function countParameters() {
    const given = pairsOf(form).filter(([name]) => name.startsWith("p."));
    byId("parameters-given").textContent = given.map(([k, v]) => `${k.slice(2)} ${v}`).join(", ");
  }

  function fieldOf({ pointer, parameter }) {
    const parts = (pointer ?? "").split("/").slice(1).map(decodeURIComponent);
    const last = parameter ?? parts.at(-1);
    if (!last) return null;
    if (parts[0] === "layers" && elements[`layer.${parts[2]}`])
      return elements[`layer.${parts[2]}`];
    const control = elements[`p.${last}`] ?? elements[last === "init" ? "scheme" : last];
    return control instanceof HTMLElement && control.closest(".field") ? control : null;
  }

  function explain() {
    const dtype = dtypes.find(({ code }) => code === elements.dtype.value);
    byId("dtype-note").textContent = dtype.about;
    const model = models.find(({ name }) => name === elements.preset.value);
    byId("preset-note").textContent = model
      ? `${model.summary.replace(/\.$/, "")}: ${count(model.parameter_count)} parameters, ${bytes(model.size_bytes)} in F32.`
      : "";
  }

  /** The plan of a choice. The tensors to choose from are known by the first one only. */
  async function plan(signal) {
    let choice = choiceIn(form, containers);
    if (choice.malformed) await ask(choice.simple, { headers: { range: "bytes=0-0" }, signal });
    let description = await post("v1/describe", choice.spec, signal);
    if (choice.kind !== "tensor") {
      const known = new Set([...elements.tensor.options].map(({ value }) => value));
      const { tensors } = description;
      if (tensors.length !== known.size || !tensors.every(({ name }) => known.has(name))) {
        offer(tensors);
        choice = choiceIn(form, containers);
        if (choice.spec.rules) description = await post("v1/describe", choice.spec, signal);
      }
    }
    return { choice, description };
  }

  function offer(tensors) {
    const before = elements.tensor.value;
    fill(
      elements.tensor,
      tensors.map(({ name, shape, parameters }) =>
        h(
          "option",
          { value: name, "data-rule": parameters?.[0] ?? name },
          `${name}  ${shape.join("×") || "scalar"}`,
        ),
      ),
    );
    const usual = (tensors.find((one) => one.shape.length > 1 && one.std > 0) ?? tensors[0])?.name;
    elements.tensor.dataset.usual = usual ?? "";
    elements.tensor.value = tensors.some(({ name }) => name === before) ? before : usual;
  }

  async function update() {
    asked?.abort();
    const { signal } = (asked = new AbortController());
    unmark(form);
    countParameters();
    byId("results").setAttribute("aria-busy", "true");
    remember("draw", pairsOf(form));
    try {
      explain();
      const { choice, description } = await plan(signal);
      remember("draw", pairsOf(form));
      const path = description.links.file;
      const url = choice.simple ?? (path && address(path));
      file.show(choice, description, url);
      const name = choice.kind === "tensor" ? description.tensors[0]?.name : elements.tensor.value;
      const tensor = description.tensors.find((one) => one.name === name);
      if (!tensor) {
        throw new Problem({
          title: "There is no tensor to look at",
          detail: "Nothing of this is stored, as it is: its file has a header only.",
        });
      }
      file.showSnippets(choice, url, tensor);
      if (!url) {
        throw new Problem({
          title: "This spec is too long for a URL",
          detail: "So its file cannot be read by ranges here; the curl line below posts the spec.",
        });
      }
      const header = await readHeader(url, signal);
      const wanted = Number(elements.read.value);
      const sample = await readValues(url, header, name, wanted, elements.where.value, signal);
      const found = schemeOf.get(tensor.scheme);
      const defaults = Object.fromEntries(found.parameters.map((one) => [one.name, one.default]));
      show(sample, tensor, defaults);
      showProblem(byId("draw-problem"), null);
    } catch (error) {
      if (signal.aborted) return;
      byId("shown").hidden = byId("bed-part").hidden = true;
      showProblem(byId("draw-problem"), error, fieldOf);
    }
    byId("results").setAttribute("aria-busy", "false");
  }

  function show(sample, tensor, defaults) {
    byId("shown").hidden = byId("bed-part").hidden = false;
    const { range, first, total, values } = sample;
    const headline = showPlots(sample, tensor, defaults);
    fill(byId("headline"), headline.nodes);
    announce(headline.text);
    showNumbers(byId("numbers"), sample, tensor, headline.distribution);
    const part =
      values.length === total ? "all" : `${count(first)} … ${count(first + values.length - 1)} of`;
    const share = `${bytes(range.stop - range.start)} of ${bytes(range.size)}`;
    const fans =
      tensor.fan_in === null
        ? ""
        : `, fan in ${count(tensor.fan_in)}, fan out ${count(tensor.fan_out)}`;
    fill(byId("drawn"), `${tensor.name} by `, h("code", {}, spelled(tensor.init)), fans);
    byId("range").textContent =
      `Read ${part} ${count(total)} values: ${share}, bytes ${count(range.start)} – ` +
      `${count(range.stop - 1)}, ` +
      (range.status === 206 ? "206 Partial Content." : "though ranges did not get through.");
    sow(byId("bed"), values, tensor.shape, first);
    byId("bed").setAttribute(
      "aria-label",
      `Weights of ${tensor.name} as dots: rows are rows of the tensor, size is magnitude.`,
    );
  }

  const later = debounced(update, QUIET_MILLISECONDS);
  form.addEventListener("input", (event) => {
    if (event.target.tagName !== "SELECT" && event.target.type !== "radio") later();
  });
  form.addEventListener("change", ({ target }) => {
    if (target.name === "what") {
      kindChanged();
      fill(elements.tensor);
      schemeChanged();
    }
    if (target.name === "layer") layerChanged();
    if (target.name === "preset") fill(elements.tensor);
    if (target.name === "scheme") schemeChanged();
    later();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    update();
  });
  byId("next-seed").addEventListener("click", () => {
    const next = /^\d+$/.test(elements.seed.value.trim()) ? BigInt(elements.seed.value) + 1n : 0n;
    setSeed(next < 1n << 64n ? next : 0n);
  });
  byId("any-seed").addEventListener("click", () => {
    setSeed(BigInt(crypto.getRandomValues(new Uint32Array(1))[0]));
  });
  function setSeed(seed) {
    elements.seed.value = String(seed);
    update();
  }

  update();

  return {
    /** Draw a tensor by a scheme. @param {string} scheme @param {object} [parameters] */
    useScheme(scheme, parameters = {}) {
      if (elements.what.value !== "tensor") {
        elements.what.value = "tensor";
        kindChanged();
      }
      elements.scheme.value = scheme;
      schemeChanged();
      for (const [name, value] of Object.entries(parameters)) {
        const control = elements[`p.${name}`];
        if (control) control.value = String(value);
      }
      bringUp(elements.scheme);
    },
    /** Draw a layer. @param {string} type */
    useLayer(type) {
      elements.what.value = "layer";
      kindChanged();
      elements.layer.value = type;
      layerChanged();
      schemeChanged();
      bringUp(elements.layer);
    },
  };

  function bringUp(control) {
    byId("draw").scrollIntoView();
    control.focus({ preventScroll: true });
    update();
  }
}

/** What an argument of a layer begins with: a real size, or what its example has. */
function startOf({ name, required }, example) {
  return required || name in example ? (SIZES[name] ?? example[name]) : undefined;
}

function options(control, values, chosen) {
  fill(
    control,
    values.map((value) => h("option", { value }, value)),
  );
  if (chosen) control.value = chosen;
}
