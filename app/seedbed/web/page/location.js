// The choice lives in the address: what is not as usual stands in the query, and can be shared.

/** Parameters that this page was opened with. */
export const opened = new URLSearchParams(location.search);

const parts = new Map();

/**
 * Write a section's share of the address.
 * @param {string} section
 * @param {Array<[string, string]>} pairs
 */
export function remember(section, pairs) {
  parts.set(section, pairs);
  const query = new URLSearchParams([...parts.values()].flat()).toString();
  const target = `${location.pathname}${query ? `?${query}` : ""}${location.hash}`;
  if (target !== location.pathname + location.search + location.hash) {
    history.replaceState(null, "", target);
  }
}

/**
 * The controls of a form that are not as usual.
 * @param {HTMLFormElement} form its controls have `data-usual`, which is else ""
 * @param {string} prefix of the names in the address
 */
export function pairsOf(form, prefix = "") {
  const pairs = [];
  for (const control of form.elements) {
    if (!control.name || control.disabled || control.closest("[hidden]")) continue;
    if (control.type === "radio" && !control.checked) continue;
    const value = control.type === "checkbox" ? String(control.checked) : control.value.trim();
    if (value !== (control.dataset.usual ?? "")) pairs.push([prefix + control.name, value]);
  }
  return pairs;
}

/** Give a control what the address says, if it says something. */
export function restore(control, prefix = "") {
  const value = opened.get(prefix + control.name);
  if (value === null) return;
  if (control.type === "checkbox") control.checked = value === "true";
  else if (control.type === "radio") control.checked = control.value === value;
  else if (control.tagName === "SELECT") {
    if ([...control.options].some((option) => option.value === value)) control.value = value;
  } else control.value = value;
}
