// The service, from wherever it serves this page. Every failure becomes a `Problem`.

/** Where the service's paths begin; this module is two levels below it. */
export const base = new URL("../../", import.meta.url);

/** The address of a path of the service, which may begin with a slash. */
export const address = (path) => new URL(path.replace(/^\//, ""), base).href;

/** What went wrong, in the terms of RFC 9457. */
export class Problem extends Error {
  /**
   * @param {{title: string, detail?: string, status?: number, errors?: Finding[]}} facts
   * @param {Headers} [headers] of the answer
   * @typedef {{detail: string, pointer?: string, parameter?: string, allowed?: string[]}} Finding
   */
  constructor(facts, headers) {
    super(facts.detail ?? facts.title);
    this.title = facts.title;
    this.detail = facts.detail ?? "";
    this.status = facts.status ?? 0;
    this.errors = facts.errors ?? [];
    this.facts = facts;
    this.retryAfter = headers?.get("retry-after") ?? null;
    this.requestId = headers?.get("x-request-id") ?? null;
  }
}

/** The problem that an answer is. */
export async function problemOf(response) {
  let facts = null;
  if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
    facts = await response.json().catch(() => null);
  }
  facts ??= {
    title: `The service answered ${response.status}`,
    detail: `${response.statusText || "No reason was given"}; it may have been a proxy before it.`,
    status: response.status,
  };
  return new Problem(facts, response.headers);
}

/**
 * An answer that is not an error.
 * @throws {Problem} it is one, or there is none
 */
export async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      title: "The service did not answer",
      detail: "It may be stopped, or the network may be away. What you chose is kept.",
    });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** What a GET says, parsed. */
export async function get(path, signal) {
  return (await ask(address(path), { signal })).json();
}

/** What a POST of JSON says, parsed. */
export async function post(path, body, signal) {
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), signal };
  return (await ask(address(path), options)).json();
}

/** What a GET says, or null if the service has no such path. */
export async function getIfThere(path) {
  try {
    return await get(path);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}
