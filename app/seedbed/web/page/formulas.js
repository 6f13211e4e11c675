// Formulas by KaTeX, which is fetched when the first one comes into view.

import { h } from "./dom.js";

let katex = null;

async function typesetter() {
  katex ??= (async () => {
    await import("./vendor/katex/katex.min.js"); // no module: it leaves a global
    return globalThis.katex;
  })();
  return katex;
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      typeset(target);
    }
  },
  { rootMargin: "400px" },
);

async function typeset(element) {
  try {
    const { render } = await typesetter();
    render(element.dataset.latex, element, { throwOnError: true, output: "htmlAndMathml" });
  } catch (error) {
    console.warn(`a formula stays as text: ${error.message}`);
  }
}

/**
 * A formula: its plain text at once, typeset when it is seen.
 * @param {string} latex
 * @param {string} text
 */
export function formula(latex, text) {
  const element = h("span.formula", { "data-latex": latex }, text);
  watcher.observe(element);
  return element;
}
