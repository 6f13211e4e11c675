// Schemes side by side, layer by layer, by POST /v1/compare: means over seeds, intervals, theory.

import { opened, pairsOf, remember, restore } from "./location.js";
import { address, ask, Problem } from "./api.js";
import { announce, byId, fill, h, table } from "./dom.js";
import { select } from "./fields.js";
import { between, clear, line, log10, plot, unseen } from "./plots.js";
import { showProblem } from "./problems.js";
import { capital, resolved, spoken } from "./schemas.js";
import { SERIES } from "./theme.js";
import { number } from "./words.js";

const USUAL = ["he_normal", "he_uniform", "glorot_uniform"];
const USUAL_SHOWN = [
  "activation_mean_square",
  "relative_gradient",
  "gradient_mean_square",
  "correlation",
];

/** Make the section from the API's description, if this service compares. */
export function setUpCompare(api, schemes) {
  const operation = api.paths["/v1/compare"]?.post;
  if (!operation) return;
  const form = byId("comparison");
  const chips = byId("compare-schemes");
  const names = schemes.map(({ name }) => name);
  const body = resolved(api, operation.requestBody.content["application/json"].schema);
  const network = resolved(api, body.properties.network);
  const made = new Set();
  let running = null;
  let kept = null;

  for (const [name, schema, usual] of controls()) {
    const id = `compare-${name}`;
    const control = schema.enum
      ? select({ id, name }, schema.enum, String(usual))
      : h("input", { id, name, type: "text", inputmode: "decimal", value: usual, size: 5 });
    control.dataset.usual = String(usual);
    byId("compare-network").append(
      h("div.field", {}, h("label", { for: id }, capital(spoken(name))), control),
    );
    restore(control, "c.");
  }
  const wanted = opened.get("c.schemes")?.split(" ").filter(Boolean);
  for (const text of wanted?.length ? wanted : USUAL) add(text);
  fill(
    byId("compare-known"),
    names.map((value) => h("option", { value })),
  );
  const typed = byId("compare-add");
  const addTyped = () => {
    const text = typed.value.replace(/\s/g, "");
    if (text) add(text);
    typed.value = "";
    save();
  };
  byId("compare-add-button").addEventListener("click", addTyped);
  typed.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault(); // it would start the comparison
    addTyped();
  });
  form.addEventListener("change", save);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  byId("compare-cancel").addEventListener("click", () => running?.abort());
  byId("compare").hidden = byId("compare-link").hidden = false;
  save();
  if (wanted) run();

  /** Each control: its name, what it takes, and what is usual. */
  function* controls() {
    for (const name of ["kind", "depth", "width", "activation", "norm"]) {
      const schema = resolved(api, network.properties[name]);
      yield [name, schema, schema.default];
    }
    for (const name of ["seeds", "seed"]) {
      const schema = resolved(api, body.properties[name]);
      yield [name, schema, schema.default];
    }
  }

  /** A scheme of the comparison, such as `he_normal` or `normal:std=0.01`. */
  function add(text) {
    if (made.has(text) || made.size >= SERIES.length) return;
    made.add(text);
    const remove = h("button", { type: "button", "aria-label": `Take ${text} out` }, "×");
    const chip = h("span.chip", { "data-scheme": text }, h("code", {}, text), remove);
    remove.addEventListener("click", () => {
      made.delete(text);
      chip.remove();
      save();
      byId("compare-add").focus();
    });
    chips.append(chip);
  }

  function save() {
    const chosen = [...made];
    const same = chosen.join() === USUAL.join();
    const pairs = pairsOf(form, "c.");
    remember("compare", same ? pairs : [...pairs, ["c.schemes", chosen.join(" ")]]);
  }

  function request() {
    const value = (name) => form.elements[name].value.trim();
    const given = (name) =>
      form.elements[name].tagName === "SELECT" ? value(name) : figure(value(name));
    const chosen = Object.fromEntries(
      ["kind", "depth", "width", "activation", "norm"].map((name) => [name, given(name)]),
    );
    return {
      schemes: [...made].map(meant),
      network: chosen,
      seed: given("seed"),
      seeds: given("seeds"),
    };
  }

  async function run() {
    running?.abort();
    const { signal } = (running = new AbortController());
    busy(true);
    showProblem(byId("compare-problem"), null);
    try {
      kept = await stream(request(), signal, ({ done, total, label }) => {
        byId("compare-progress").value = total ? done / total : 0;
        byId("compare-status").textContent = `${done} of ${total}${label ? `: ${label}` : ""}`;
      });
      show(kept);
      byId("compare-status").textContent = "";
      announce(`Compared ${kept.schemes.length} schemes over ${kept.layers.length} layers.`);
    } catch (error) {
      if (signal.aborted) byId("compare-status").textContent = "Cancelled.";
      else {
        byId("compare-status").textContent = "";
        showProblem(byId("compare-problem"), error, fieldOf);
      }
    }
    if (running.signal === signal) busy(false);
  }

  function fieldOf({ pointer }) {
    const name = (pointer ?? "").split("/").at(-1);
    const control = name && form.elements[name];
    return control instanceof HTMLElement && control.closest(".field") ? control : null;
  }

  function busy(on) {
    byId("compare-cancel").hidden = byId("compare-progress").hidden = !on;
    byId("compare-progress").value = 0;
    byId("compare-run").disabled = on;
    byId("compared").setAttribute("aria-busy", String(on));
  }
}

/** The answer as it comes: lines of progress, then the result. */
async function stream(body, signal, onProgress) {
  const response = await ask(address("v1/compare"), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/x-ndjson" },
    body: JSON.stringify(body),
    signal,
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    text += value ?? "";
    const lines = text.split("\n");
    text = done ? "" : lines.pop();
    for (const one of lines.filter(Boolean).map(JSON.parse)) {
      if (one.type === "progress") onProgress(one);
      if (one.type === "error") throw new Problem(one.problem, response.headers);
      if (one.type === "result") return one.result;
    }
    if (done) throw new Problem({ title: "The answer was cut off", detail: "No result came." });
  }
}

function show(result) {
  const place = byId("compared");
  clear(place);
  const { layers, schemes, metrics, activation_theory: theory } = result;
  const shown = new Set(
    metrics.map(({ name }) => name).filter((name) => USUAL_SHOWN.includes(name)),
  );
  const usual = metrics.filter(({ name }) => shown.has(name));
  const others = metrics.filter(({ name }) => !shown.has(name));
  place.append(
    legend(schemes),
    summary(schemes, theory),
    h(
      "div.plots",
      {},
      usual.map((metric) => metricPlot(metric, layers, schemes)),
    ),
  );
  if (others.length) {
    const grid = h("div.plots");
    const more = h("details", {}, h("summary", {}, `${others.length} more measures`), grid);
    more.addEventListener("toggle", () => {
      if (more.open && !grid.childElementCount) {
        grid.append(...others.map((metric) => metricPlot(metric, layers, schemes)));
      }
    });
    place.append(more);
  }
  const notes = schemes.flatMap(({ label, notes: all }) => all.map((note) => [label, note]));
  if (notes.length) {
    place.append(
      h(
        "ul.small.muted",
        {},
        notes.map(([who, what]) => h("li", {}, h("code", {}, who), " ", what)),
      ),
    );
  }
}

function legend(schemes) {
  return h(
    "ul.legend",
    { "aria-label": "Lines" },
    schemes.map(({ label, link }, i) =>
      h(
        "li",
        {},
        sample(SERIES[i % SERIES.length]),
        h("code", {}, label),
        link
          ? [
              " ",
              h("a.small", { href: address(link), "aria-label": `Weights of ${label}` }, "weights"),
            ]
          : null,
      ),
    ),
  );
}

function sample({ name, dash }) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 30 6");
  picture.setAttribute("class", `sample ${name.slice(2)}`);
  picture.setAttribute("aria-hidden", "true");
  const stroke = document.createElementNS(space, "path");
  stroke.setAttribute("d", "M0 3H30");
  stroke.setAttribute("stroke-dasharray", dash.join(" "));
  picture.append(stroke);
  return picture;
}

function summary(schemes, theory) {
  const facts = [
    ["critical σ of weights × √fan in", theory?.critical_sigma_w],
    ["gain", theory?.gain],
  ].filter(([, value]) => typeof value === "number");
  return h(
    "div",
    {},
    table(
      "Each scheme against mean-field theory",
      [
        "scheme",
        h("span", {}, "σ", h("sub", {}, "w")),
        "χ₁",
        "phase",
        "fixed correlation",
        "excess kurtosis",
        "Jacobian: mean square",
      ],
      schemes.map((one) => [
        h("code", {}, one.label),
        number(one.sigma_w),
        number(one.chi_1),
        one.phase ?? "–",
        number(one.fixed_correlation),
        number(one.excess_kurtosis),
        number(value(one.jacobian?.mean_square)),
      ]),
    ),
    facts.length
      ? h(
          "p.small.muted",
          {},
          `For this activation: ${facts.map(([k, v]) => `${k} ${number(v)}`).join(", ")}.`,
        )
      : null,
  );
}

/** A number, or the middle of one with an interval. */
const value = (found) => (found !== null && typeof found === "object" ? found.value : found);

function metricPlot({ name, title, about, scale }, layers, schemes) {
  const log = scale === "log";
  const usable = log ? log10 : (y) => y ?? null;
  const data = [layers.map((_, i) => i + 1)];
  const series = [];
  const bands = [];
  const rows = layers.map((layer, i) => [`${i + 1}. ${layer.name}`]);
  schemes.forEach(({ columns }, k) => {
    const column = columns[name];
    if (!column) return;
    const { name: hue, dash } = SERIES[k % SERIES.length];
    const base = data.length;
    data.push(column.high.map(usable), column.low.map(usable), column.value.map(usable));
    series.push(unseen, unseen, line(hue, { width: 2.25, dash }));
    bands.push(between(base, base + 1, hue, 0.14));
    if (column.theory?.some((y) => usable(y) !== null)) {
      data.push(column.theory.map(usable));
      series.push({ ...line(hue, { width: 1, dash: [3, 3] }), alpha: 0.9 });
    }
    rows.forEach((row, i) => row.push(written(column, i)));
  });
  const columns = [
    "layer",
    ...schemes.filter((one) => one.columns[name]).map(({ label }) => label),
  ];
  const numbers = h(
    "details",
    {},
    h("summary", {}, "Numbers"),
    table(`${title}, by layer`, columns, rows),
  );
  return plot({
    title,
    note: about,
    says: `${title} by layer for ${columns.slice(1).join(", ")}. The numbers are in the table below.`,
    x: { label: "layer", values: (_, at) => at.map((v) => (Number.isInteger(v) ? String(v) : "")) },
    y: { log },
    series,
    bands,
    data,
    height: 250,
    readout: (i) =>
      `${i + 1}: ${schemes.map(({ label, columns: all }) => `${label} ${number(all[name]?.value[i], 3)}`).join(" · ")}`,
    extra: numbers,
  });
}

function written({ value: values, low, high, theory }, i) {
  const interval =
    typeof low[i] === "number" ? ` (${number(low[i], 3)} … ${number(high[i], 3)})` : "";
  const predicted = typeof theory?.[i] === "number" ? `, theory ${number(theory[i], 3)}` : "";
  return `${number(values[i], 3)}${interval}${predicted}`;
}

const figure = (text) => (text === "" || Number.isNaN(Number(text)) ? text : Number(text));

/** A scheme as it is written in a chip and in the address: `normal:std=0.01`. */
function meant(text) {
  const [scheme, rest] = text.split(":");
  if (!rest) return scheme;
  const pairs = rest.split(",").map((pair) => pair.split("="));
  return { scheme, ...Object.fromEntries(pairs.map(([k, v]) => [k, figure(v ?? "")])) };
}
