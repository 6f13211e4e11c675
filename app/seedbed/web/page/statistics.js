// What values come to: moments, quantiles, a histogram.

const MAX_DISTINCT = 160;
const MAX_BARS = 24;

/** Mean, standard deviation, bounds and excess kurtosis of values that are finite. */
export function moments(values) {
  const n = values.length;
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const x of values) {
    sum += x;
    if (x < min) min = x;
    if (x > max) max = x;
  }
  const mean = sum / n;
  let square = 0;
  let fourth = 0;
  for (const x of values) {
    const d = (x - mean) ** 2;
    square += d;
    fourth += d * d;
  }
  const variance = square / n;
  const kurtosis = variance > 0 ? fourth / n / variance ** 2 - 3 : null;
  return { n, mean, std: Math.sqrt(variance), min, max, kurtosis };
}

/** Quantiles by linear interpolation, as NumPy has them, of sorted values. */
export function quantile(sorted, p) {
  const at = p * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/**
 * Values that are so few that each can have a bar, with their shares; null if they are not.
 * @returns {{values: number[], shares: number[]}|null}
 */
export function shares(sorted) {
  const values = someDistinct(sorted);
  if (!values || values.length > MAX_BARS || values.length === sorted.length) return null;
  const counts = new Map(values.map((x) => [x, 0]));
  for (const x of sorted) counts.set(x, counts.get(x) + 1);
  return { values, shares: values.map((x) => counts.get(x) / sorted.length) };
}

/**
 * A density: edges of cells, and the height of each.
 *
 * Values of a narrow dtype are few and unevenly spaced. Each then has a cell of its own, to half-way
 * to its neighbours, since even cells would show a comb that is the dtype's, not the scheme's.
 * @param {Float64Array} sorted
 * @param {number} low where to begin at the latest
 * @param {number} high where to end at the earliest
 * @returns {{edges: number[], heights: number[]}}
 */
export function histogram(sorted, low, high) {
  const distinct = someDistinct(sorted);
  let edges;
  if (distinct) {
    edges = distinct.slice(1).map((x, i) => (x + distinct[i]) / 2);
    const first = distinct.length > 1 ? edges[0] - distinct[0] : 0.5;
    const last = distinct.length > 1 ? distinct.at(-1) - edges.at(-1) : 0.5;
    edges.unshift(distinct[0] - first);
    edges.push(distinct.at(-1) + last);
  } else {
    const from = Math.min(low, sorted[0]);
    const to = Math.max(high, sorted.at(-1));
    const cells = Math.min(72, Math.max(8, Math.ceil(2 * sorted.length ** (1 / 3))));
    edges = Array.from({ length: cells + 1 }, (_, i) => from + ((to - from) * i) / cells);
  }
  const heights = new Array(edges.length - 1).fill(0);
  let cell = 0;
  for (const x of sorted) {
    while (cell < heights.length - 1 && x >= edges[cell + 1]) cell += 1;
    heights[cell] += 1;
  }
  return {
    edges,
    heights: heights.map((count, i) => count / sorted.length / (edges[i + 1] - edges[i])),
  };
}

/** The distinct values, if they are few. */
function someDistinct(sorted) {
  const found = [sorted[0]];
  for (const x of sorted) {
    if (x === found.at(-1)) continue;
    if (found.length === MAX_DISTINCT) return null;
    found.push(x);
  }
  return found.length < sorted.length || found.length <= 2 ? found : null;
}

/**
 * The standard deviation about a known mean of the first k values, for some 80 growing k.
 * @returns {{counts: number[], stds: number[]}}
 */
export function growingStd(values, mean) {
  const counts = [];
  const stds = [];
  let next = Math.min(16, values.length);
  let sum = 0;
  values.forEach((x, i) => {
    sum += (x - mean) ** 2;
    if (i + 1 >= next || i + 1 === values.length) {
      counts.push(i + 1);
      stds.push(Math.sqrt(sum / (i + 1)));
      next = Math.ceil(Math.max(next + 1, next * 1.12));
    }
  });
  return { counts, stds };
}
