// What was read, beside what it was drawn from: histogram, quantiles, and how σ settles.

import { byId, h, table } from "./dom.js";
import { rounded } from "./floats.js";
import { bars, between, clear, line, log10, plot, points, steps, unseen } from "./plots.js";
import { growingStd, histogram, moments, quantile, shares } from "./statistics.js";
import { distributionOf, normal, quantilePlot } from "./theory.js";
import { exact, number, percent, tick } from "./words.js";

const QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
const CURVE_POINTS = 400;

/**
 * Draw the plots of a sample.
 * @param {{values: Float64Array}} sample from `readValues`
 * @param {object} tensor from POST /v1/describe
 * @param {object} defaults of its scheme's parameters
 * @returns {{nodes: Array, text: string, distribution: object|null}} the finding in a sentence
 */
export function showPlots({ values }, tensor, defaults) {
  const place = byId("plots");
  clear(place);
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) {
    const text = values.length ? "None of these values is a number." : "This tensor is empty.";
    return { nodes: [text], text, distribution: null };
  }
  const sorted = finite.slice().sort();
  const found = moments(finite);
  const distribution = distributionOf(tensor, defaults);
  const few = distribution ? null : shares(sorted);
  place.append(few ? barPlot(few) : histogramPlot(sorted, found, tensor, distribution));
  if (distribution && sorted.length > 1)
    place.append(quantilesPlot(sorted, distribution, tensor.dtype));
  if (tensor.excess_kurtosis !== null && finite.length > 16) place.append(settling(finite, tensor));
  return { ...headline(found, tensor), distribution };
}

function headline(found, tensor) {
  const sigma = () => h("i.symbol", {}, "σ");
  const measured = `${exact(found.std)} measured`;
  if (!tensor.std) {
    const text = `Every one of these values is ${number(tensor.mean, 6)}.`;
    return { nodes: [text], text };
  }
  const ratio = found.std / tensor.std - 1;
  const error = Math.sqrt(((tensor.excess_kurtosis ?? 0) + 2) / (4 * found.n));
  const errors = `${(Math.abs(ratio) / error).toFixed(1)} standard errors`;
  const random = tensor.excess_kurtosis !== null;
  const against = `${exact(tensor.std)} by theory`;
  const apart = random ? `${percent(ratio)}, ${errors}` : "of the whole tensor";
  return {
    nodes: [
      sigma(),
      " = ",
      h("strong", {}, exact(found.std)),
      " measured, ",
      h("strong", {}, exact(tensor.std)),
      ` by theory (${apart})`,
    ],
    text: `Standard deviation ${measured}, ${against}, ${apart}`,
  };
}

function barPlot({ values, shares: heights }) {
  const width = values.at(-1) - values[0] || Math.abs(values[0]) || 1;
  const says = values.length === 1 ? "one value" : `${values.length} values`;
  const largest = Math.max(...heights);
  return plot({
    title: "Values",
    note: `There are ${says} only, each with its share.`,
    says: `There are ${says} only: ${values.map((x, i) => `${number(x)} ${percent(heights[i])}`).join(", ")}.`,
    x: { label: "value", scale: { range: [values[0] - width / 8, values.at(-1) + width / 8] } },
    y: { label: "share", scale: { range: [0, largest * 1.06] } },
    series: [bars("--positive")],
    data: [values, heights],
    readout: (i) => `${tick(values[i])}: ${tick(heights[i])}`,
  });
}

function histogramPlot(sorted, found, tensor, distribution) {
  const known = distribution ?? null;
  const reference =
    known ?? (tensor.excess_kurtosis !== null ? normal(tensor.mean, tensor.std) : null);
  const { edges, heights } = histogram(sorted, known?.low ?? Infinity, known?.high ?? -Infinity);
  // One axis for both: steps keep their height between edges, so more points do not change them.
  const [from, to] = [edges[0], edges.at(-1)];
  const even = Array.from(
    { length: CURVE_POINTS },
    (_, i) => from + ((to - from) * i) / CURVE_POINTS,
  );
  const grid = [...new Set([...edges, ...(reference ? even : [])])].sort((a, b) => a - b);
  let cell = 0;
  const outline = grid.map((x) => {
    while (cell < heights.length - 1 && x >= edges[cell + 1]) cell += 1;
    return heights[cell];
  });
  const data = [grid, outline];
  const series = [steps("--positive")];
  if (reference) {
    data.push(grid.map(reference.pdf));
    series.push(line("--ink", { dash: known ? [] : [6, 5], width: 1.75 }));
  }
  const top = Math.max(...heights);
  const against = known
    ? `The line is the density of the ${known.name} distribution.`
    : reference
      ? "No closed density is known here; dashes are a normal with the same moments."
      : "A pattern: nothing is drawn at random.";
  return plot({
    title: "Histogram",
    note: against,
    says: `Histogram of ${found.n} values from ${number(found.min)} to ${number(found.max)}. ${against}`,
    x: { label: "value" },
    y: {
      label: "density",
      scale: { range: [0, (Math.max(top, reference ? peak(data[2]) : 0) || 1) * 1.06] },
    },
    series,
    data,
  });
}

const peak = (heights) => Math.max(...heights.filter((y) => Number.isFinite(y)));

function quantilesPlot(sorted, distribution, dtype) {
  const round = (x) => rounded(x, dtype);
  const { expected, found, low, high } = quantilePlot(sorted, distribution, round);
  const outside = found.filter((y, i) => y < low[i] || y > high[i]).length;
  const inside = outside ? `${outside} of ${found.length} lie outside it.` : "All lie within it.";
  return plot({
    title: "Quantiles",
    note: `On the line, if drawn from the ${distribution.name}. The band has all of them 95 times in 100. ${inside}`,
    says: `Quantiles of the sample against those of the ${distribution.name}, with a 95 % band. ${inside}`,
    x: { label: "by theory" },
    y: { label: "measured" },
    series: [unseen, unseen, line("--muted", { width: 1 }), points("--positive")],
    bands: [between(1, 2, "--muted")],
    data: [expected, high, low, expected, found],
    readout: (i) => `by theory ${tick(expected[i])}, measured ${tick(found[i])}`,
  });
}

function settling(values, tensor) {
  const { counts, stds } = growingStd(values, tensor.mean);
  const spread = counts.map((n) => 2 * Math.sqrt((tensor.excess_kurtosis + 2) / (4 * n)));
  const at = (sign) => spread.map((s) => tensor.std * Math.max(0, 1 + sign * s));
  return plot({
    title: "σ of the first n values",
    note: "The band is two standard errors about the theory.",
    says:
      `Standard deviation of the first n values, for n up to ${values.length}: it ends at ` +
      `${number(stds.at(-1))}; theory says ${number(tensor.std)}.`,
    x: { label: "n", log: true },
    y: { label: "σ" },
    series: [unseen, unseen, line("--muted", { width: 1 }), line("--positive")],
    bands: [between(1, 2, "--muted")],
    data: [counts.map(log10), at(1), at(-1), counts.map(() => tensor.std), stds],
    readout: (i) => `n = ${counts[i]}: σ = ${tick(stds[i])}`,
  });
}

/** The table of moments and quantiles. */
export function showNumbers(place, { values }, tensor, distribution) {
  const sorted = values.filter(Number.isFinite).sort();
  if (!sorted.length) {
    place.replaceChildren();
    return;
  }
  const found = moments(sorted);
  const rows = [
    ["σ", number(found.std, 6), number(tensor.std, 6)],
    ["mean", number(found.mean, 4), number(tensor.mean, 6)],
    [
      "lowest",
      number(found.min, 6),
      tensor.lower === null ? "no bound" : `≥ ${number(tensor.lower, 6)}`,
    ],
    [
      "highest",
      number(found.max, 6),
      tensor.upper === null ? "no bound" : `≤ ${number(tensor.upper, 6)}`,
    ],
    ["excess kurtosis", number(found.kurtosis, 4), number(tensor.excess_kurtosis, 4)],
    ...QUANTILES.map((p) => [
      `${p * 100} %`,
      number(quantile(sorted, p), 5),
      distribution ? number(clean(distribution.ppf(p), tensor.std), 5) : "–",
    ]),
  ];
  place.replaceChildren(
    h(
      "details",
      {},
      h("summary", {}, "Moments and quantiles"),
      table("Moments and quantiles", ["statistic", "measured", "by theory"], rows),
    ),
  );
}

/** A zero that arithmetic has only nearly hit. */
const clean = (x, scale) => (Math.abs(x) < 1e-9 * scale ? 0 : x);
