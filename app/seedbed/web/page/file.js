// The file that is meant: its address, its facts, how to get it by a program, and a download.

import { address } from "./api.js";
import { byId, copyButton, fill, h } from "./dom.js";
import { setUpDownload } from "./download.js";
import { showProblem } from "./problems.js";
import { snippets } from "./snippets.js";
import { setUpTabs } from "./tabs.js";
import { bytes, count } from "./words.js";

/**
 * Bring the section to life.
 * @returns {{show: Function, showSnippets: Function}}
 */
export function setUpFile() {
  let texts = { curl: "", python: "", js: "" };
  let tab = "curl";

  setUpTabs(document.querySelector("[role=tablist]"), (chosen) => {
    tab = chosen.id.replace("tab-", "");
  });
  byId("snippet-copy").append(copyButton(() => texts[tab]));
  byId("address-copy").append(copyButton(() => byId("address").href, "Copy"));
  const download = setUpDownload({
    button: byId("download"),
    cancel: byId("cancel"),
    bar: byId("progress"),
    status: byId("download-status"),
    onProblem: (error) => showProblem(byId("download-problem"), error),
  });

  /** Say what the file is; `url` is null if only a POST of the spec leads to it. */
  function show({ saveAs, spec }, description, url) {
    const link = byId("address");
    byId("method").textContent = url ? "GET" : "POST";
    link.href = url ?? address("v1/checkpoints");
    link.toggleAttribute("download", Boolean(url));
    const { pathname, search } = new URL(link.href);
    fill(link, legible(pathname, search));
    const name = saveAs.replace(".safetensors", `-seed${spec.seed}.safetensors`);
    download.use(url && { url, saveAs: name, size: description.size_bytes });
    byId("download").textContent = `Download ${bytes(description.size_bytes)}`;
    const facts = {
      Size: `${bytes(description.size_bytes)} (${count(description.size_bytes)} bytes)`,
      Parameters: `${count(description.parameter_count)} in ${many(description.tensor_count)}`,
      Header: `${count(description.header_bytes)} bytes`,
      ETag: h("code", {}, description.etag),
      "Spec, SHA-256": h("code", {}, description.spec_sha256),
      "Stream version": String(description.stream_version),
    };
    fill(
      byId("facts"),
      Object.entries(facts)
        .map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])
        .flat(),
    );
  }

  /** Say how a program reads one of its tensors. */
  function showSnippets({ spec, saveAs, kind, simple }, url, tensor) {
    const posted = address("v1/checkpoints");
    const byPost = kind !== "tensor" && !simple; // a spec says more than its token
    const file = { posted, spec, tensor: tensor.name, dtype: tensor.dtype, saveAs };
    texts = snippets({ ...file, url });
    if (byPost) texts.curl = snippets({ ...file, url: null }).curl;
    for (const [language, text] of Object.entries(texts)) {
      byId(`snippet-${language}`).textContent = text;
    }
  }

  return { show, showSnippets };
}

/** A path and query whose parts one can tell apart. */
function legible(pathname, search) {
  const slashes = pathname.split("/").flatMap((part, i) => (i ? ["/", h("wbr"), part] : []));
  const pairs = search.slice(1).split("&").filter(Boolean);
  const query = pairs.flatMap((pair, i) => [h("wbr"), `${i ? "&" : "?"}`, h("b", {}, pair)]);
  return h("span", {}, slashes, query);
}

const many = (tensors) => `${count(tensors)} tensor${tensors === 1 ? "" : "s"}`;
