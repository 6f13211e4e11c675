// Problems where people see them: in the section they are about, and at the field that caused them.

import { fill, h } from "./dom.js";
import { Problem } from "./api.js";

/**
 * Show a problem, or that there is none.
 * @param {HTMLElement} place with role="alert"
 * @param {Error|null} error
 * @param {(finding: object) => HTMLElement|null} fieldOf the control that a finding is about
 */
export function showProblem(place, error, fieldOf = () => null) {
  place.hidden = !error;
  if (!error) {
    fill(place);
    return;
  }
  if (!(error instanceof Problem)) {
    fill(place, h("h3", {}, "Something on this page failed"), h("p", {}, String(error)));
    return;
  }
  const several = error.errors.length > 1 || error.errors.some((one) => one.allowed);
  fill(
    place,
    h("h3", {}, error.title),
    error.detail ? h("p", {}, sentence(error.detail)) : null,
    several
      ? h(
          "ul",
          {},
          error.errors.map((one) => finding(one, error.detail)),
        )
      : null,
    h("p.small.muted", {}, aside(error)),
  );
  mark(error.errors, fieldOf);
}

/** Take the marks from all fields of a form. */
export function unmark(form) {
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    const described = field.getAttribute("aria-describedby") ?? "";
    const kept = described
      .split(" ")
      .filter((id) => !id.endsWith("-error"))
      .join(" ");
    if (kept) field.setAttribute("aria-describedby", kept);
    else field.removeAttribute("aria-describedby");
  }
  for (const note of form.querySelectorAll(".field-error")) note.remove();
}

function mark(findings, fieldOf) {
  for (const one of findings) {
    const field = fieldOf(one);
    if (!field || field.hasAttribute("aria-invalid")) continue;
    const id = `${field.id}-error`;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute(
      "aria-describedby",
      `${field.getAttribute("aria-describedby") ?? ""} ${id}`.trim(),
    );
    field.closest("details")?.setAttribute("open", ""); // or nobody sees it
    field.closest(".field").append(h("p.field-error", { id }, sentence(one.detail)));
  }
}

function finding({ detail, pointer, parameter, allowed }, already) {
  const where = pointer ?? parameter;
  const parts = [];
  if (where) parts.push(h("code", {}, where), " ");
  if (detail !== already) parts.push(sentence(detail), " ");
  if (allowed) {
    parts.push(
      "Allowed: ",
      allowed.flatMap((one, i) => [i ? ", " : "", h("code", {}, one)]),
    );
  }
  return h("li", {}, parts.flat());
}

function aside({ status, retryAfter, requestId, facts }) {
  return [
    status ? `Status ${status}` : null,
    facts.limit ? `limit ${facts.limit}` : null,
    retryAfter ? `try again in ${retryAfter} s` : null,
    requestId ? `request ${requestId}` : null,
  ]
    .filter(Boolean)
    .join(" · ");
}

const sentence = (text) =>
  text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
