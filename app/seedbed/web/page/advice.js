// Which one to use, why, and the evidence, by GET /v1/advise.

import { pairsOf, remember, restore } from "./location.js";
import { get } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { select } from "./fields.js";
import { showProblem } from "./problems.js";
import { capital, resolved, spoken } from "./schemas.js";
import { number, spelled } from "./words.js";

/** Make the section from the API's description, if this service gives advice. */
export function setUpAdvice(api, draw) {
  const operation = api.paths["/v1/advise"]?.get;
  if (!operation) return;
  const form = byId("advise");
  for (const parameter of operation.parameters.filter((one) => one.in === "query")) {
    const { name } = parameter;
    const schema = resolved(api, parameter.schema);
    const words = schema.enum ?? ["false", "true"];
    const id = `advise-${name}`;
    const control = select({ id, name }, words, String(schema.default ?? words[0]));
    form.append(h("div.field", {}, h("label", { for: id }, capital(spoken(name))), control));
    restore(control, "a.");
  }
  byId("which").hidden = byId("which-link").hidden = false;
  let asked = null;

  async function update() {
    asked?.abort();
    const { signal } = (asked = new AbortController());
    remember("advice", pairsOf(form, "a."));
    try {
      const advice = await get(`v1/advise?${new URLSearchParams(new FormData(form))}`, signal);
      show(advice, draw);
      showProblem(byId("advise-problem"), null);
    } catch (error) {
      if (signal.aborted) return;
      fill(byId("advice"));
      showProblem(byId("advise-problem"), error);
    }
  }

  form.addEventListener("change", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    update();
  });
  new IntersectionObserver(([{ isIntersecting }], watcher) => {
    if (!isIntersecting) return;
    watcher.disconnect(); // asked once it is seen, not before
    update();
  }).observe(byId("which"));
}

function show(advice, draw) {
  const { scheme, ...parameters } =
    typeof advice.init === "object" ? advice.init : { scheme: advice.init };
  const use = h("button.quiet", {
    type: "button",
    click: () => draw.useScheme(scheme, parameters),
  });
  use.textContent = "Draw with it";
  fill(
    byId("advice"),
    h("p.answer", {}, "Use ", h("code", {}, spelled(advice.init)), " ", use),
    h(
      "ul",
      {},
      list(advice.why).map((one) => h("li", {}, one)),
    ),
    h("h3", {}, "Normal or uniform?"),
    h("p", {}, advice.normal_or_uniform),
    advice.alternatives?.length
      ? [
          h("h3", {}, "Otherwise"),
          h(
            "ul",
            {},
            advice.alternatives.map(({ init, when }) =>
              h("li", {}, h("code", {}, spelled(init)), ": ", when),
            ),
          ),
        ]
      : null,
    h(
      "details",
      {},
      h("summary", {}, "Evidence"),
      h("ul.evidence", {}, advice.evidence.map(piece)),
    ),
  );
}

function piece({ claim, kind, source, numbers }) {
  const figures = Object.entries(numbers ?? {}).map(
    ([name, value]) => `${spoken(name)} ${typeof value === "number" ? number(value) : value}`,
  );
  return h(
    "li",
    {},
    h("span.tag", {}, kind),
    " ",
    claim,
    h("span.small.muted", {}, ` ${[...figures, source].filter(Boolean).join("; ")}`),
  );
}

const list = (value) => (Array.isArray(value) ? value : [value]);
