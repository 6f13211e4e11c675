// Everything that can be asked for, with its formula, found by a word.

import { opened, remember } from "./location.js";
import { byId, debounced, fill, h, prose, table } from "./dom.js";
import { formula } from "./formulas.js";
import { spelled } from "./words.js";

const ARXIV = /arXiv:(\d{4}\.\d{4,5}|[a-z-]+\/\d{7})/;

/** Fill the section. */
export function setUpCatalogue({ schemes, layers, draw }) {
  const entries = [
    ...schemes.map((one) => ({ element: scheme(one, draw), words: wordsOf(one) })),
    ...layers.map((one) => ({ element: layer(one, draw), words: wordsOf(one) })),
  ];
  const search = byId("search");
  search.value = opened.get("find") ?? "";
  const groups = [
    h("h3", { id: "schemes" }, "Schemes"),
    h(
      "div.list",
      {},
      entries.slice(0, schemes.length).map(({ element }) => element),
    ),
    h("h3", { id: "layers" }, "Layers"),
    h(
      "div.list",
      {},
      entries.slice(schemes.length).map(({ element }) => element),
    ),
  ];
  fill(byId("entries"), groups);

  function filter() {
    const wanted = search.value.trim().toLowerCase();
    remember("catalogue", wanted ? [["find", search.value.trim()]] : []);
    for (const { element, words } of entries) {
      element.hidden = !wanted.split(/\s+/).every((word) => words.includes(word));
    }
    for (const list of [groups[1], groups[3]]) {
      const some = [...list.children].some(({ hidden }) => !hidden);
      list.hidden = list.previousElementSibling.hidden = !some;
    }
    const left = entries.filter(({ element }) => !element.hidden).length;
    byId("found").textContent = wanted
      ? left
        ? `${left} of ${entries.length} have it.`
        : `None of ${entries.length} has “${search.value.trim()}”.`
      : `${schemes.length} schemes, ${layers.length} layers.`;
  }
  search.addEventListener("input", debounced(filter, 120));
  filter();
}

const wordsOf = (entry) =>
  JSON.stringify([
    entry.name,
    entry.type,
    entry.aliases,
    entry.summary,
    entry.paper,
    entry.formula,
    entry.notes,
    entry.arguments?.map(({ name }) => name),
  ]).toLowerCase();

function scheme(one, draw) {
  const use = h(
    "button.quiet",
    { type: "button", click: () => draw.useScheme(one.name) },
    "Draw with it",
  );
  return h(
    "details.entry",
    { id: `scheme-${one.name}` },
    h(
      "summary",
      {},
      h("code.name", {}, one.name),
      formula(one.latex, one.formula),
      h("span.about", {}, prose(first(one.summary))),
    ),
    h(
      "div.more",
      {},
      rest(one.summary),
      one.paper ? h("p", {}, linked(one.paper)) : null,
      one.aliases.length
        ? h("p", {}, "Also ", joined(one.aliases.map((alias) => named(alias, one.implied[alias]))))
        : null,
      one.parameters.length ? parameters(`Parameters of ${one.name}`, one.parameters) : null,
      notes(one.notes),
      use,
    ),
  );
}

function layer(one, draw) {
  const use = h(
    "button.quiet",
    { type: "button", click: () => draw.useLayer(one.type) },
    "Draw it",
  );
  const frameworks = one.frameworks.map(({ framework, tensors, note }) => [
    framework,
    tensors.length
      ? h(
          "ul.plain",
          {},
          tensors.map((t) =>
            h("li", {}, h("code", {}, `${t.name} [${t.shape.join(", ")}]`), ` = ${t.expression}`),
          ),
        )
      : "",
    note ?? "",
  ]);
  const whose = Object.keys(one.parameters[0]?.defaults ?? {});
  return h(
    "details.entry",
    { id: `layer-${one.type}` },
    h(
      "summary",
      {},
      h("code.name", {}, one.type),
      h("span.formula.small", {}, one.parameters.map(({ name }) => name).join(", ")),
      h("span.about", {}, prose(first(one.summary))),
    ),
    h(
      "div.more",
      {},
      rest(one.summary),
      parameters(`Arguments of ${one.type}`, one.arguments),
      table(
        `Schemes of ${one.type} by default`,
        ["parameter", ...whose],
        one.parameters.map(({ name, defaults }) => [
          h("code", {}, name),
          ...whose.map((w) => spelled(defaults[w])),
        ]),
      ),
      table(
        `Tensors of ${one.type} in each framework`,
        ["framework", "tensors", "note"],
        frameworks,
      ),
      use,
    ),
  );
}

function parameters(caption, all) {
  return table(
    caption,
    ["name", "default", "meaning"],
    all.map(({ name, required, default: usual, description, json_schema: schema }) => [
      h("code", {}, name),
      required ? h("em", {}, "needed") : usual === null ? "none" : String(usual),
      [
        ...prose(description),
        schema.enum ? h("span.muted", {}, ` One of ${schema.enum.join(", ")}.`) : "",
      ],
    ]),
  );
}

function notes(all) {
  const pairs = Object.entries(all);
  if (!pairs.length) return null;
  return h(
    "dl.facts",
    {},
    pairs.flatMap(([who, what]) => [h("dt", {}, who), h("dd", {}, prose(what))]),
  );
}

/** A paper's name, with a link to its arXiv page, if it has one. Nothing is fetched from there. */
function linked(paper) {
  const [found, id] = paper.match(ARXIV) ?? [];
  if (!found) return [paper];
  const [before, after] = paper.split(found);
  const link = h("a", { href: `https://arxiv.org/abs/${id}`, rel: "noreferrer" }, found);
  return [before, link, after];
}

function named(alias, implied) {
  const code = h("code", {}, alias);
  if (!implied) return code;
  const means = Object.entries(implied)
    .map(([k, v]) => `${k} ${v}`)
    .join(", ");
  return h("span", {}, code, ` (${means})`);
}

const joined = (parts) => parts.flatMap((part, i) => (i ? [", ", part] : [part]));
const first = (text) => text.split("\n")[0];

function rest(text) {
  const more = text.split("\n").slice(1).join(" ").replace(/\s+/g, " ").trim();
  return more ? h("p", {}, prose(more)) : null;
}
