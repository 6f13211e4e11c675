// The distribution that a tensor's values are drawn from, as far as the service's description of it
// (scheme, moments, bounds) says: density, and its inverse distribution function.

const CLOSE = 1e-6;

/**
 * @typedef {{name: string, low: number, high: number, pdf: (x: number) => number,
 *   ppf: (p: number) => number}} Distribution `low` and `high` are where a plot of it ends
 */

/**
 * The distribution of a described tensor, or null if moments are all that is known.
 * @param {object} tensor from POST /v1/describe
 * @param {Object<string, unknown>} defaults of its scheme's parameters
 * @returns {Distribution|null}
 */
export function distributionOf(tensor, defaults) {
  const { mean, std, lower, upper, excess_kurtosis: kurtosis, scheme } = tensor;
  const given = { ...defaults, ...(typeof tensor.init === "object" ? tensor.init : {}) };
  if (std === 0 || kurtosis === null) return null;
  if (scheme === "log_uniform") return logUniform(given.low, given.high);
  if (scheme === "truncated_normal") {
    const scale = given.bounds === "sigma" ? given.std : 1;
    const shift = given.bounds === "sigma" ? given.mean : 0;
    const bound = (value, none) => (value === null ? none : shift + scale * value);
    const [low, high] = [bound(given.lower, -Infinity), bound(given.upper, Infinity)];
    return truncated(given.mean, given.std, low, high);
  }
  if (lower === null && upper === null) {
    return Math.abs(kurtosis) < CLOSE ? normal(mean, std) : null;
  }
  if (lower === null || upper === null) return null;
  const half = (upper - lower) / 2;
  if (Math.abs(half / std / Math.sqrt(3) - 1) < CLOSE && Math.abs(kurtosis + 1.2) < CLOSE) {
    return uniform(lower, upper);
  }
  if (Math.abs(lower + upper - 2 * mean) > CLOSE * half) return null;
  // A coordinate of a point on a sphere in n dimensions has σ = r/√n and kurtosis −6/(n + 2).
  const n = (half / std) ** 2;
  if (n > 3 - CLOSE && Math.abs(kurtosis + 6 / (n + 2)) < CLOSE) return sphere(mean, half, n);
  const parent = parentStd(half / std) * std;
  const found = truncated(mean, parent, lower, upper);
  return Math.abs(symmetricKurtosis(half / parent) - kurtosis) < 1e-4 ? found : null;
}

/** @returns {Distribution} */
export function normal(mean, std) {
  return {
    name: "normal",
    low: mean - 4 * std,
    high: mean + 4 * std,
    pdf: (x) => phi((x - mean) / std) / std,
    ppf: (p) => mean + std * normalPpf(p),
  };
}

function uniform(low, high) {
  return {
    name: "uniform",
    low,
    high,
    pdf: (x) => (x < low || x > high ? 0 : 1 / (high - low)),
    ppf: (p) => low + p * (high - low),
  };
}

function logUniform(low, high) {
  const log = Math.log(high / low);
  return {
    name: "log-uniform",
    low,
    high,
    pdf: (x) => (x < low || x > high ? 0 : 1 / (x * log)),
    ppf: (p) => low * Math.exp(p * log),
  };
}

function truncated(mean, std, low, high) {
  const from = normalCdf((low - mean) / std);
  const mass = normalCdf((high - mean) / std) - from;
  return {
    name: "truncated normal",
    low: Math.max(low, mean - 4 * std),
    high: Math.min(high, mean + 4 * std),
    pdf: (x) => (x < low || x > high ? 0 : phi((x - mean) / std) / std / mass),
    ppf: (p) => Math.min(high, Math.max(low, mean + std * normalPpf(from + p * mass))),
  };
}

/** A coordinate of a uniform point on a sphere: density ∝ (1 − x²/r²)^((n − 3)/2). */
function sphere(mean, radius, n) {
  const steps = 4000;
  const reach = Math.min(1, 6 / Math.sqrt(n)); // beyond it there is nothing to see
  const grid = Float64Array.from({ length: steps + 1 }, (_, i) => reach * ((2 * i) / steps - 1));
  const weight = (u) => (Math.abs(u) > 1 ? 0 : Math.exp(((n - 3) / 2) * Math.log1p(-u * u)));
  const middle = (i) => weight((grid[i] + grid[i + 1]) / 2);
  const cumulative = new Float64Array(steps + 1);
  for (let i = 0; i < steps; i += 1) cumulative[i + 1] = cumulative[i] + middle(i);
  const sum = cumulative[steps];
  const scale = (sum * 2 * reach * radius) / steps;
  const seen = Math.min(1, 4 / Math.sqrt(n)) * radius;
  return {
    name: `coordinate of a point on a sphere in ${Math.round(n)} dimensions`,
    low: mean - seen,
    high: mean + seen,
    pdf: (x) => weight((x - mean) / radius) / scale,
    ppf: (p) => {
      let [i, j] = [0, steps];
      while (j - i > 1) {
        const k = (i + j) >> 1;
        if (cumulative[k] <= p * sum) i = k;
        else j = k;
      }
      const part = (p * sum - cumulative[i]) / (cumulative[j] - cumulative[i] || 1);
      return mean + radius * (grid[i] + part * (grid[j] - grid[i]));
    },
  };
}

/** For a normal cut at ±h of its own deviations that are left: its parent's σ over what is left. */
function parentStd(h) {
  let [low, high] = [1e-3, 40]; // of the cut, in the parent's deviations
  for (let i = 0; i < 80; i += 1) {
    const cut = (low + high) / 2;
    if (cut / Math.sqrt(symmetricVariance(cut)) < h) low = cut;
    else high = cut;
  }
  return h / low;
}

const symmetricVariance = (cut) => 1 - (2 * cut * phi(cut)) / (2 * normalCdf(cut) - 1);

function symmetricKurtosis(cut) {
  const variance = symmetricVariance(cut);
  const fourth = 3 * variance - (2 * cut ** 3 * phi(cut)) / (2 * normalCdf(cut) - 1);
  return fourth / variance ** 2 - 3;
}

/**
 * Points of a Q–Q plot, with a band that holds all of a right sample's quantiles 95 times in 100
 * (Dvoretzky–Kiefer–Wolfowitz, with Massart's constant). Rounding keeps order, so the band of what
 * was rounded to a dtype is the band, rounded.
 * @param {Float64Array} sorted
 * @param {Distribution} distribution
 * @param {(x: number) => number} round to the dtype
 */
export function quantilePlot(sorted, distribution, round) {
  const n = sorted.length;
  const points = Math.min(n, 160);
  const margin = Math.sqrt(Math.log(2 / 0.05) / (2 * n));
  const clip = (p) => Math.min(1 - 1e-9, Math.max(1e-9, p));
  const plot = { expected: [], found: [], low: [], high: [] };
  for (let i = 0; i < points; i += 1) {
    const p = (i + 0.5) / points;
    plot.expected.push(distribution.ppf(p));
    plot.found.push(sorted[Math.ceil(p * n) - 1]);
    plot.low.push(round(p - margin > 0 ? distribution.ppf(clip(p - margin)) : distribution.low));
    plot.high.push(round(p + margin < 1 ? distribution.ppf(clip(p + margin)) : distribution.high));
  }
  return plot;
}

const phi = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

/** The normal distribution function, to 10⁻⁷ of its value (Press et al., Numerical Recipes §6.2). */
export function normalCdf(z) {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 2 / (2 + x);
  const series = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398,
    1.48851587, -0.82215223, 0.17087277,
  ].reduceRight((sum, c) => sum * t + c, 0);
  const tail = x === Infinity ? 0 : (t * Math.exp(-x * x + series)) / 2;
  return z > 0 ? 1 - tail : tail;
}

/** Its inverse (Wichura 1988, AS 241, PPND16). */
export function normalPpf(p) {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) return q * ratio(0.180625 - q * q, CENTRE);
  const r = Math.sqrt(-Math.log(q < 0 ? p : 1 - p));
  const z = r <= 5 ? ratio(r - 1.6, TAIL) : ratio(r - 5, FAR);
  return q < 0 ? -z : z;
}

const ratio = (x, [above, below]) => polynomial(x, above) / polynomial(x, below);
const polynomial = (x, coefficients) => coefficients.reduceRight((sum, c) => sum * x + c, 0);

const CENTRE = [
  [
    3.3871328727963666, 133.14166789178438, 1971.5909503065513, 13731.693765509461,
    45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227,
  ],
  [
    1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597,
    39307.89580009271, 28729.085735721943, 5226.495278852854,
  ],
];
const TAIL = [
  [
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
    1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 7.745450142783414e-4,
  ],
  [
    1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008,
    0.015198666563616457, 5.475938084995345e-4, 1.0507500716444169e-9,
  ],
];
const FAR = [
  [
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487,
    0.026532189526576124, 0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
  ],
  [
    1, 0.5998322065558879, 0.1369298809227358, 0.014875361290850615, 7.868691311456133e-4,
    1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
  ],
];
