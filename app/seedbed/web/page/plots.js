// Plots by uPlot, in the page's colours, with words for those who do not see them.

import { h } from "./dom.js";
import { colour, onTheme, veiled } from "./theme.js";
import { number, power, tick } from "./words.js";

const HEIGHT = 230;

/**
 * A plot in a figure.
 * @param {{title: string, note?: string, says: string, x: object, y: object, series: object[],
 *   bands?: object[], data: Array<number[]>, height?: number, readout?: (i: number) => string,
 *   extra?: Node|null}} what `says` is what one should know of it without seeing it
 * @returns {HTMLElement} with `destroy()`
 */
export function plot({ title, note, says, x, y, series, bands, data, height, readout, extra }) {
  const screen = h("div.plot", { role: "img", "aria-label": says });
  const line = h("p.readout", { "aria-hidden": "true" }, "\u00a0");
  const figure = h(
    "figure",
    {},
    h("figcaption", {}, h("strong", {}, title), note ? h("span", {}, note) : null),
    screen,
    readout ? line : null,
    extra ?? null,
  );
  const size = () => ({ width: Math.max(200, screen.clientWidth), height: height ?? HEIGHT });
  let drawn = null;
  const options = () => ({
    ...size(),
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: {
      show: Boolean(readout),
      drag: { x: false, y: false },
      y: false,
      points: { size: 7 },
    },
    scales: { x: { time: false, ...x.scale }, y: { ...y.scale } },
    axes: [axis(x, "x"), axis(y, "y")],
    series: [{}, ...series],
    bands,
    hooks: readout
      ? {
          setCursor: [
            (u) => {
              const i = u.cursor.idx;
              line.textContent = i === null || i === undefined ? "\u00a0" : readout(i);
            },
          ],
        }
      : {},
  });
  const observer = new ResizeObserver(() => {
    if (!drawn) drawn = new globalThis.uPlot(options(), data, screen);
    else if (drawn.width !== size().width) drawn.setSize(size());
  });
  observer.observe(screen);
  const forget = onTheme(() => drawn?.redraw());
  figure.destroy = () => {
    observer.disconnect();
    forget();
    drawn?.destroy();
  };
  return figure;
}

function axis({ label, values, splits, log }, side) {
  const font = "13px 'Atkinson Next', system-ui, sans-serif";
  return {
    label,
    labelSize: 22,
    labelFont: font,
    labelGap: 0,
    font,
    size: side === "y" ? 62 : 34,
    gap: 4,
    space: side === "y" ? 34 : 64,
    stroke: () => colour("--muted"),
    ticks: { show: false },
    splits,
    values: values ?? ((_, at) => at.map((v) => (v === null ? "" : log ? decade(v) : tick(v)))),
    grid: { width: 1, stroke: () => colour("--grid") },
  };
}

/**
 * A logarithmic axis is a linear one of logarithms, by this, since uPlot's own loses count among
 * numbers as small as the gradients of a dying network.
 */
export const log10 = (y) => (typeof y === "number" && y > 0 ? Math.log10(y) : null);

/** A logarithm as the number that it is of. */
function decade(v) {
  return Number.isInteger(v) && Math.abs(v) > 1 ? power(v) : number(10 ** v, 3);
}

/** A filled outline of steps: heights over the cells between edges. */
export function steps(name) {
  return {
    stroke: () => colour(name),
    fill: () => veiled(name, 0.22),
    width: 1.25,
    points: { show: false },
    paths: globalThis.uPlot.paths.stepped({ align: 1 }),
  };
}

/** A bar for each value. */
export function bars(name) {
  return {
    stroke: () => colour(name),
    fill: () => veiled(name, 0.35),
    width: 1.25,
    points: { show: false },
    paths: globalThis.uPlot.paths.bars({ size: [0.5, 28] }),
  };
}

/** A line. */
export function line(name, { dash = [], width = 2, label } = {}) {
  return { label, stroke: () => colour(name), width, dash, points: { show: false } };
}

/** Points only. */
export function points(name) {
  return {
    stroke: () => colour(name),
    paths: () => null,
    points: { show: true, size: 5, width: 1, stroke: () => colour(name), fill: () => colour(name) },
  };
}

/** A line that is only there to bound a band. */
export const unseen = { stroke: "transparent", width: 0, points: { show: false } };

/** A band between two series. */
export const between = (upper, lower, name, alpha = 0.16) => ({
  series: [upper, lower],
  fill: () => veiled(name, alpha),
});

/** End every plot in an element and take them away. */
export function clear(parent) {
  for (const figure of parent.querySelectorAll("figure")) figure.destroy?.();
  parent.replaceChildren();
}
