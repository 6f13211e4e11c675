// Light, dark or the system's; and its colours, for what is drawn on a canvas.

const KEY = "seedbed-theme";
const redraws = new Set();

/** Let a select choose the theme. @param {HTMLSelectElement} control */
export function setUpTheme(control) {
  const root = document.documentElement;
  control.value = root.dataset.theme ?? "system";
  control.addEventListener("change", () => {
    if (control.value === "system") delete root.dataset.theme;
    else root.dataset.theme = control.value;
    try {
      localStorage.setItem(KEY, control.value);
    } catch {
      // It will be the system's again next time.
    }
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/** Call this whenever colours change. @returns {() => void} stops that */
export function onTheme(action) {
  redraws.add(action);
  return () => redraws.delete(action);
}

function redraw() {
  for (const action of redraws) action();
}

const probe = document.createElement("span");

/** A colour of the theme as it is now, such as "--ink". */
export function colour(name) {
  if (!probe.isConnected) {
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** The same, partly transparent. */
export function veiled(name, alpha) {
  return `color-mix(in srgb, ${colour(name)} ${alpha * 100}%, transparent)`;
}

/** Lines of several things beside each other differ in colour and in dashes. */
export const SERIES = [
  { name: "--series-1", dash: [] },
  { name: "--series-2", dash: [8, 4] },
  { name: "--series-3", dash: [2, 3] },
  { name: "--series-4", dash: [10, 3, 2, 3] },
  { name: "--series-5", dash: [5, 2] },
  { name: "--series-6", dash: [1, 4] },
];
