// Sections 5, 5.1 and 5.2 of docs/stream.md: schemes that fill an element from its index or its word.

import { wholes } from './dense.mjs';
import { distributions } from './draws.mjs';
import { cos, exp, exp2, expm1, log, sin } from './elementary.mjs';

/** A bare scheme as an object. */
export const asObject = (init) => (typeof init === 'string' ? { scheme: init } : init ?? undefined);

// ---------------------------------------------------------------- 5. Schemes

/** The fans of a shape, by what an init says of its axes or of them, else those that a layer knows. */
function fans(shape, init, known) {
  const named = {};
  for (const name of ['batch_axis', 'out_axis', 'in_axis']) {
    if (init[name] !== undefined) named[name] = [init[name]].flat().map((axis) => (axis < 0 ? axis + shape.length : axis));
  }
  if (known && Object.keys(named).length === 0) return { fan_in: init.fan_in ?? known[0], fan_out: init.fan_out ?? known[1] };
  const rest = shape.map((_, axis) => axis).filter((axis) => !Object.values(named).flat().includes(axis));
  for (const name of ['out_axis', 'in_axis']) named[name] ??= rest.splice(0, 1);
  const over = (axes) => product(axes.map((axis) => shape[axis]));
  const field = over(rest);
  return {
    fan_in: init.fan_in ?? over(named.in_axis) * field,
    fan_out: init.fan_out ?? over(named.out_axis) * field,
  };
}

function nonlinearityGain(nonlinearity, a) {
  switch (nonlinearity) {
    case 'tanh': return 5 / 3;
    case 'relu': return Math.sqrt(2);
    case 'leaky_relu': return Math.sqrt(2 / (1 + a * a));
    case 'selu': return 0.75;
    default: return 1;
  }
}

/** The std of a scheme that has fans. */
function standardDeviation(family, init, { fan_in, fan_out }) {
  const { mode = 'fan_in', nonlinearity = 'leaky_relu', a = 0, scale = 1 } = init;
  const n = { fan_in, fan_out, fan_avg: (fan_in + fan_out) / 2, fan_geo_avg: Math.sqrt(fan_in * fan_out) }[mode];
  switch (family) {
    case 'variance_scaling': return Math.sqrt(scale / n);
    case 'he': {
      const gain = init.convention === 'mlx' ? 1 : nonlinearityGain(nonlinearity, a);
      return (init.gain ?? gain) / Math.sqrt(n);
    }
    case 'glorot': return (init.gain ?? 1) * Math.sqrt(2 / (fan_in + fan_out));
    case 'lecun': return (init.gain ?? 1) / Math.sqrt(n);
  }
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

/** Recipes of one paper: a distribution by fan_in or by a number. */
const recipes = {
  siren_first: (_, n) => symmetric(1 / n),
  siren: ({ omega = 30 }, n) => symmetric(Math.sqrt(6 / n) / omega),
  small_init: (_, n) => distributions.normal(0, Math.sqrt(2 / (5 * n))),
  wang_init: ({ layers, width }, n) => distributions.normal(0, 2 / (layers * Math.sqrt(width ?? n))),
  torch_bias: ({ fan_in }) => symmetric(1 / Math.sqrt(fan_in)),
};
const symmetric = (bound) => distributions.uniform(-bound, bound);

// 5.1
const derived = {
  mamba_dt_bias({ dt_min = 0.001, dt_max = 0.1, floor = 0.0001 }) {
    const draw = distributions.log_uniform(dt_min, dt_max);
    return [draw, (x) => { const y = x < floor ? floor : x; return y + log(-expm1(-y)); }];
  },
  chrono_bias: ({ t_max, gate = 'forget' }) =>
    [distributions.uniform(1, t_max - 1), (x) => (gate === 'forget' ? 1 : -1) * log(x)],
  lru_nu_log: ({ r_min = 0, r_max = 1 }) =>
    [distributions.uniform(r_min * r_min, r_max * r_max), (x) => log(-0.5 * log(x))],
  lru_theta_log: ({ max_phase = 6.283185307179586 }) => [distributions.uniform(0, max_phase), log],
  rglru({ r_min = 0.9, r_max = 0.999 }) {
    const draw = distributions.uniform(r_min * r_min, r_max * r_max);
    return [draw, (x) => { const a = Math.sqrt(x); return log((1 - a) / a); }];
  },
};

// 5.2
const popcountIsOdd = (n) => {
  let odd = 0;
  for (; n > 0; n = Math.floor(n / 2)) odd ^= n % 2;
  return odd === 1;
};
const andOf = (i, j) => Number(BigInt(i) & BigInt(j));
const logTwo = (size) => { let m = 0; while (2 ** m < size) m++; return m; };
const hadamard = (scale) => (i, j) => (popcountIsOdd(andOf(i, j)) ? -scale : scale);
const root = (i, j) => Math.sqrt((2 * i + 1) * (2 * j + 1));

/** Entry (i, j) of a matrix at the centre tap. */
const matrices = {
  eye: ({ gain = 1 }) => (i, j) => (i === j ? gain : 0),
  dirac: ({ groups = 1 }, [out]) => (i, j) => (i % (out / groups) === j ? 1 : 0),
  idinit({ tau = 1 }, [out, into]) {
    const s = Math.min(out, into);
    return (i, j) => (i % s === j % s ? tau : 0);
  },
  hadamard: ({ gain = 1 }, [out, into]) => hadamard(gain * Math.sqrt(2 ** -logTwo(Math.max(out, into)))),
  zero_init: (_, [out, into]) =>
    (out <= into ? (i, j) => (i === j ? 1 : 0) : hadamard(Math.sqrt(2 ** -logTwo(out)))),
  hippo_legs: () => (i, j) => (i > j ? -root(i, j) : i === j ? -(i + 1) : 0),
  hippo_legt: () => (i, j) => (i < j && (i + j) % 2 === 1 ? root(i, j) : -root(i, j)),
  hippo_normal: () => (i, j) => (i > j ? -(0.5 * root(i, j)) : i === j ? -0.5 : 0.5 * root(i, j)),
  sinusoidal({ layout = 'interleaved', base = 10000 }, [, width]) {
    const h = width / 2;
    const logBase = log(base);
    return (p, j) => {
      const [k, s, sine] = layout === 'interleaved'
        ? [Math.floor(j / 2), h, j % 2 === 0] : [j % h, h - 1, j < h];
      const angle = p * exp(-((k / s) * logBase));
      return sine ? sin(angle) : cos(angle);
    };
  },
};

/** Entry n of a table of length N; those of the first axis are marked. */
const PI64 = 3.141592653589793;
const sequences = {
  mamba_A_log: () => (n) => log(n + 1),
  s4d_real: () => (n) => -(n + 1),
  s4d_lin: () => (n) => PI64 * n,
  s4d_inv: (_, N) => (n) => ((2 * N) / PI64) * ((2 * N) / (2 * n + 1) - 1),
  s4d_legs(_, N) {
    const count = (omega) => {
      let [x, y, m] = [1, 0, 0];
      for (let k = 0; k < 2 * N; k++) {
        const t = (2 * omega) / (2 * k + 1);
        const [a, b] = [x - t * y, y + t * x];
        if (a < 0 !== x < 0) m++;
        const s = Math.abs(a) + Math.abs(b);
        [x, y] = [a / s, b / s];
      }
      return m;
    };
    return (n) => {
      let [low, high] = [0, 2 * N * (2 * N)];
      for (let i = 0; i < 80; i++) {
        const middle = (low + high) * 0.5;
        if (count(middle) >= n + 1) high = middle;
        else low = middle;
      }
      return high;
    };
  },
  hippo_B: () => (n) => Math.sqrt(2 * n + 1),
  retnet_decay: () => (n) => 1 - exp2(-5 - n),
  alibi_slopes(_, N) {
    let p = 1;
    while (2 * p <= N) p *= 2;
    return (n) => exp2(n < p ? (-8 * (n + 1)) / p : (-8 * (2 * (n - p) + 1)) / (2 * p));
  },
  rope_inv_freq({ theta = 10000 }, N) {
    const logTheta = log(theta);
    return (n) => exp(-((n / N) * logTheta));
  },
};
const FIRST_AXIS = ['hippo_B', 'retnet_decay', 'alibi_slopes'];

/** The element at a flat index, or nothing if the scheme is no pattern. */
function pattern(init, shape) {
  if (init.scheme in sequences) {
    const first = FIRST_AXIS.includes(init.scheme);
    const length = first ? shape[0] : shape.at(-1);
    const stride = first ? product(shape.slice(1)) : 1;
    const at = sequences[init.scheme](init, length);
    return (index) => at(Math.floor(index / stride) % length);
  }
  if (!(init.scheme in matrices)) return undefined;
  const [, into, ...kernel] = shape;
  const entry = matrices[init.scheme](init, shape);
  const taps = product(kernel);
  const centre = kernel.reduce((c, k) => c * k + Math.floor(k / 2), 0);
  return (index) => {
    const place = Math.floor(index / taps);
    return index % taps === centre ? entry(Math.floor(place / into), place % into) : 0;
  };
}

// 5.5
const functions = {
  neg: (x) => -x, abs: Math.abs, square: (x) => x * x, sqrt: Math.sqrt, reciprocal: (x) => 1 / x,
  exp, log, expm1, sin, cos, inverse_softplus: (x) => x + log(-expm1(-x)),
  mul: (x, c) => x * c, add: (x, c) => x + c,
  clamp(x, a, b) {
    const v = a !== null && x < a ? a : x;
    return b !== null && v > b ? b : v;
  },
};
const numbers = (values) => values.map((value) => (typeof value === 'bigint' ? Number(value) : value));

/** { constant }, { draw }, { draw, after }, { range }, { at } or { whole } for an init and a shape.
 *  Fans that a layer knows stand for those of the shape, by convention. */
export function resolveScheme(init, shape, knownFans = {}) {
  const { scheme, convention = 'torch' } = init;
  const known = knownFans[convention];
  if (scheme in recipes) return { draw: recipes[scheme](init, fans(shape, init, known).fan_in) };
  if (scheme in derived) {
    const [draw, after] = derived[scheme](init);
    return { draw, after };
  }
  if (scheme in wholes) return { whole: wholes[scheme] };
  if (scheme === 'chain') {
    const steps = init.steps.map(([name, ...by]) => (x) => functions[name](x, ...numbers(by)));
    return { draw: resolveScheme(asObject(init.of), shape, knownFans).draw, after: (x) => steps.reduce((v, step) => step(v), x) };
  }
  if (scheme === 'literal') return { listed: (i) => init.values.flat(Infinity)[i] };
  if (scheme === 'arange') {
    const { start = 0, step = 1, axis = -1, repeat = 1 } = init;
    const at = axis < 0 ? axis + shape.length : axis;
    const stride = product(shape.slice(at + 1));
    return { listed(i, isInteger) {
      const n = Math.floor((Math.floor(i / stride) % shape[at]) / repeat);
      return isInteger ? BigInt(start) + BigInt(n) * BigInt(step) : Number(start) + n * Number(step);
    } };
  }
  if (scheme === 'random_integers') return { range: [init.low, init.high] };
  const at = pattern(init, shape);
  if (at) return { at };
  if (scheme === 'zeros') return { constant: 0 };
  if (scheme === 'ones') return { constant: 1 };
  if (scheme === 'constant') return { constant: init.value };
  if (scheme === 'uniform') return { draw: distributions.uniform(init.low ?? -1, init.high ?? 1) };
  if (scheme === 'normal') return { draw: distributions.normal(init.mean ?? 0, init.std ?? 1) };
  if (scheme === 'log_uniform') return { draw: distributions.log_uniform(init.low, init.high) };
  if (scheme === 'truncated_normal') {
    const { mean = 0, std = 1, lower = -2, upper = 2, bounds = 'sigma' } = init;
    const [low, high] = [lower ?? -Infinity, upper ?? Infinity];
    const sigmas = bounds === 'absolute' ? [(low - mean) / std, (high - mean) / std] : [low, high];
    return { draw: distributions.truncated_normal(mean, std, ...sigmas) };
  }
  const [, family, suffix] = /^(variance_scaling|(?:he|glorot|lecun)(?=_))(?:_(uniform|normal))?$/.exec(scheme) ?? [];
  if (!family) throw new Error(`unknown scheme ${scheme}`);
  const std = standardDeviation(family, init, fans(shape, init, known));
  let kind = suffix ?? init.distribution ?? 'truncated_normal';
  if (kind === 'uniform') return { draw: distributions.uniform(-(Math.sqrt(3) * std), Math.sqrt(3) * std) };
  if (kind === 'normal' && (convention === 'keras' || (suffix && convention === 'jax'))) kind = 'truncated_normal';
  if (kind === 'truncated_normal') return { draw: distributions.truncated_normal(0, std / 0.87962566103423978, -2, 2) };
  return { draw: distributions.normal(0, std) };
}
