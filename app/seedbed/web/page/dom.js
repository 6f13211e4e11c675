// Elements in few words. Text is always set as text, so no answer of a server can become markup.

/**
 * An element.
 * @param {string} tag such as "p" or "p.muted.small"
 * @param {Object<string, unknown>} attributes null and false leave one out; a function listens
 * @param {...(Node|string|number|null)} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text in which `backticks` mark code. @returns {Array<string|Node>} */
export const prose = (text) =>
  text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

/** The element with an id. @param {string} id */
export const byId = (id) => document.getElementById(id);

/** Put these in place of all children. @param {Element} parent */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null));
  return parent;
}

/**
 * A table with a caption for those who hear it.
 * @param {string} caption
 * @param {string[]} columns
 * @param {Array<Array<string|Node>>} rows the first cell of each is its heading
 */
export function table(caption, columns, rows) {
  return h(
    "div.scroll",
    { tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption.unseen", {}, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((column) => h("th", { scope: "col" }, column)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(([first, ...rest]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, first),
            rest.map((cell) => h("td", {}, cell)),
          ),
        ),
      ),
    ),
  );
}

/** Call once things have been quiet for a while. */
export function debounced(action, milliseconds) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), milliseconds);
  };
}

/** Put text on the clipboard; without the clipboard's API, by way of a selection. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea.unseen", { readonly: true, "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("the browser keeps its clipboard to itself");
  }
}

/** A button that copies what a function gives, and says so. */
export function copyButton(text, label = "Copy") {
  const button = h("button.quiet", { type: "button" }, label);
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await copy(text());
    } catch {
      said = "Not allowed";
    }
    button.textContent = said;
    announce(said);
    setTimeout(() => {
      button.textContent = label;
    }, 1600);
  });
  return button;
}

/** Tell those who listen to the page. */
export function announce(text) {
  byId("announcer").textContent = text;
}
