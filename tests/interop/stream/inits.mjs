// Parameters of schemes, with types and defaults: the table of section 9.1 of docs/stream.md.

import { Spelled, float } from './json.mjs';

const word = (by) => ['word', by];
const real = (by) => ['float', by];
const whole = (by) => ['int', by];

const directions = {
  in_axis: ['axes', null], out_axis: ['axes', null], batch_axis: ['axes', null],
  fan_in: whole(null), fan_out: whole(null),
};
const byFans = { ...directions, convention: word('torch') };
const he = { ...byFans, mode: word('fan_in'), nonlinearity: word('leaky_relu'), a: real(0), gain: real(null) };
const glorot = { ...byFans, gain: real(1) };
const lecun = { ...glorot, mode: word('fan_in') };

const PARAMETERS = {
  constant: { value: ['number'] },
  uniform: { low: real(-1), high: real(1) },
  normal: { mean: real(0), std: real(1) },
  truncated_normal: { mean: real(0), std: real(1), lower: real(-2), upper: real(2), bounds: word('sigma') },
  log_uniform: { low: real(), high: real() },
  variance_scaling: { ...byFans, scale: real(1), mode: word('fan_in'), distribution: word('truncated_normal') },
  he_normal: he, he_uniform: he,
  glorot_normal: glorot, glorot_uniform: glorot,
  lecun_normal: lecun, lecun_uniform: lecun,
  siren_first: directions,
  siren: { ...directions, omega: real(30) },
  small_init: directions,
  wang_init: { ...directions, layers: whole(), width: whole(null) },
  torch_bias: { fan_in: whole() },
  mamba_dt_bias: { dt_min: real(0.001), dt_max: real(0.1), floor: real(0.0001) },
  chrono_bias: { t_max: real(), gate: word('forget') },
  lru_nu_log: { r_min: real(0), r_max: real(1) },
  lru_theta_log: { max_phase: real(6.283185307179586) },
  rglru: { r_min: real(0.9), r_max: real(0.999) },
  orthogonal: { gain: real(1) },
  delta_orthogonal: { gain: real(1) },
  looks_linear: { gain: real(1), part: word('hidden') },
  sparse: { sparsity: real(), std: real(0.01), per: word('column') },
  unit_norm_rows: { gain: real(1) },
  lsuv_gaussian: { second_moment: real(1) },
  eye: { gain: real(1) },
  dirac: { groups: whole(1) },
  idinit: { tau: real(1) },
  hadamard: { gain: real(1) },
  sinusoidal: { layout: word('interleaved'), base: real(10000) },
  rope_inv_freq: { theta: real(10000) },
  literal: { values: ['numbers'] },
  arange: { start: ['number', 0], step: ['number', 1], axis: whole(-1) },
  chain: { of: ['init'], steps: ['steps'] },
  parts: { init: ['init', null], parts: ['parts'] },
};

/** The value of `constant`: an integer where it is whole and below 2^64. */
export function constantOf(value) {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'string') return value; // Infinity, -Infinity and NaN
  const x = Number(value);
  if (!Number.isInteger(x) || Object.is(x, -0)) return new Spelled(float(x));
  const exact = BigInt(value);
  return (exact < 0n ? -exact : exact) < 2n ** 64n ? exact : new Spelled(float(x));
}

/** A box without what it says of the last axes, if it takes all of them. */
function shortBox(box) {
  const last = box.findLastIndex((interval) => interval !== null);
  return box.slice(0, last + 1);
}

function spelled(value, type) {
  if (value === null || type === 'word') return value;
  if (type === 'number') return constantOf(value);
  if (type === 'float') return new Spelled(float(Number(value) || 0)); // −0.0 is 0.0
  if (type === 'int') return value;
  if (type === 'init') return canonicalInit(value);
  if (type === 'numbers') return value.flat(Infinity).map(constantOf);
  if (type === 'steps') return value.map(([name, ...numbers]) => [name, ...numbers.map((one) => spelled(one, 'float'))]);
  if (type === 'parts') return value.map(({ box, init }) => ({ box: shortBox(box), init: canonicalInit(init) }));
  const axes = [value].flat().sort((a, b) => a - b);
  return axes.length === 1 ? axes[0] : axes;
}

/** An init in canonical form, as a value to be spelled. */
export function canonicalInit(init) {
  if (typeof init === 'string') return init;
  const { scheme, ...given } = init;
  const members = Object.entries(given).filter(([name, value]) => {
    const by = PARAMETERS[scheme][name][1];
    return by === undefined || (value === null || by === null ? value !== by : Number.isNaN(Number(value)) ? value !== by : Number(value) !== by);
  });
  if (members.length === 0) return scheme;
  return { scheme, ...Object.fromEntries(members.map(([name, value]) => [name, spelled(value, PARAMETERS[scheme][name][0])])) };
}
