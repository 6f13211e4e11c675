// A file, downloaded where one can watch and stop it. If the connection breaks, what is missing is
// asked for by a range, and only from the same file.

import { Problem, problemOf } from "./api.js";
import { bytes as inBytes } from "./words.js";
import { announce } from "./dom.js";

const IN_MEMORY_BYTES = 2 ** 30;
const ATTEMPTS = 7;
const FIRST_PAUSE_MILLISECONDS = 250;

/**
 * @param {{button: HTMLButtonElement, cancel: HTMLButtonElement, bar: HTMLProgressElement,
 *   status: HTMLElement, onProblem: (error: Error|null) => void}} parts of the page
 * @returns {{use: (file: {url: string, saveAs: string, size: number}|null) => void}}
 */
export function setUpDownload({ button, cancel, bar, status, onProblem }) {
  let file = null;
  let running = null;

  button.addEventListener("click", async () => {
    const { url, saveAs, size } = file;
    onProblem(null);
    let sink;
    try {
      sink = await sinkFor(saveAs, size);
    } catch (error) {
      if (error.name !== "AbortError") onProblem(error); // the person closed the file dialogue
      return;
    }
    running = new AbortController();
    show(true);
    const began = performance.now();
    try {
      await transfer(url, size, sink, running.signal, (done) => {
        bar.value = size ? done / size : 1;
        const rate = (done / (performance.now() - began)) * 1000;
        status.textContent = `${inBytes(done)} of ${inBytes(size)}, ${inBytes(Math.round(rate))}/s`;
      });
      await sink.close();
      say(`Saved ${saveAs}, ${inBytes(size)}`);
    } catch (error) {
      await sink.abort();
      if (error.name === "AbortError") say("Cancelled; nothing was kept");
      else {
        say("");
        onProblem(error);
      }
    } finally {
      running = null;
      show(false);
    }
  });
  cancel.addEventListener("click", () => running?.abort());

  function show(busy) {
    const hadFocus = document.activeElement === (busy ? button : cancel);
    button.hidden = busy;
    cancel.hidden = bar.hidden = !busy;
    if (hadFocus) (busy ? cancel : button).focus();
  }

  function say(text) {
    status.textContent = text;
    announce(text);
  }

  return {
    use(next) {
      file = next;
      button.disabled = !next;
      if (!running) status.textContent = "";
    },
  };
}

/** Where the bytes go: a file that the person picks, if it is too large for memory. */
async function sinkFor(saveAs, size) {
  if (size > IN_MEMORY_BYTES) {
    if (!globalThis.showSaveFilePicker) {
      throw new Problem({
        title: "This browser cannot save so large a file from a page",
        detail: "Open the link instead, and the browser downloads it itself; or use curl.",
      });
    }
    const handle = await globalThis.showSaveFilePicker({ suggestedName: saveAs });
    return handle.createWritable();
  }
  const parts = [];
  return {
    write: async (part) => parts.push(part),
    abort: async () => parts.splice(0),
    close: async () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
      link.download = saveAs;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    },
  };
}

async function transfer(url, size, sink, signal, onProgress) {
  let done = 0;
  let etag = null;
  let failures = 0;
  while (done < size) {
    const before = done;
    try {
      const headers = done ? { range: `bytes=${done}-`, "if-range": etag } : {};
      const response = await fetch(url, { headers, signal, cache: "no-store" });
      if (!response.ok) throw await problemOf(response);
      if (done && response.status !== 206) {
        throw new Problem({ title: "The rest cannot be had", detail: "It is another file now." });
      }
      etag = response.headers.get("etag");
      for await (const part of parts(response.body)) {
        await sink.write(part);
        done += part.length;
        onProgress(done);
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // which is how fetch says that it was cut off
    }
    if (done >= size) return;
    failures = done > before ? 1 : failures + 1;
    if (failures === ATTEMPTS) {
      throw new Problem({
        title: "The connection broke",
        detail: `${inBytes(done)} of ${inBytes(size)} had come, and then ${ATTEMPTS} attempts failed.`,
      });
    }
    await pause(FIRST_PAUSE_MILLISECONDS * 2 ** failures, signal);
  }
}

/** Wait, unless it is cancelled meanwhile. */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

async function* parts(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
