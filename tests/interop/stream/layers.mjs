// Section 6.1 of docs/stream.md: the parameters of layers, and how each framework stores them.

import { f32 } from './words.mjs';

const product = (shape) => shape.reduce((a, b) => a * b, 1);

// ---------------------------------------------------------------- schemes by default

const scheme = (name, parameters = {}) => ({ scheme: name, ...parameters });
const zeros = scheme('zeros');
const ones = scheme('ones');
const symmetric = (bound) => (bound ? scheme('uniform', { low: -bound, high: bound }) : zeros);
const overRoot = (n) => symmetric(n ? 1 / Math.sqrt(n) : 0);
const byDefaults = (defaults, torch, keras, flax) => ({ torch, keras, flax, nnx: flax })[defaults];
const kernelOf = (defaults, torch = scheme('he_uniform', { a: Math.sqrt(5) })) =>
  byDefaults(defaults, torch, scheme('glorot_uniform', { convention: 'keras' }),
    scheme('lecun_normal', { convention: 'jax' }));
const biasOf = (defaults, fanIn) => (defaults === 'torch' ? overRoot(fanIn) : zeros);

// ---------------------------------------------------------------- arrays

/** Elements in row-major order (float32, or BigInt of an integer dtype), whether each is the constant
 *  0, and the parameters they are of. */
export class ParameterArray {
  constructor(shape, data, isZero, sources) {
    Object.assign(this, { shape, data, isZero, sources });
  }

  static zeros(size) {
    return new ParameterArray([size], Array(size).fill(0), Array(size).fill(true), []);
  }

  #picked(shape, places) {
    const of = (elements) => places.map((i) => elements[i]);
    return new ParameterArray(shape, of(this.data), of(this.isZero), this.sources);
  }

  /** Axes in another order; those of `flipped` (before) run backwards. */
  transpose(axes, flipped = []) {
    const strides = this.shape.map((_, axis) => product(this.shape.slice(axis + 1)));
    let places = [0];
    for (const axis of axes) {
      const along = Array.from({ length: this.shape[axis] }, (_, i) =>
        (flipped.includes(axis) ? this.shape[axis] - 1 - i : i) * strides[axis]);
      places = places.flatMap((place) => along.map((step) => place + step));
    }
    return this.#picked(axes.map((axis) => this.shape[axis]), places);
  }

  get T() {
    return this.transpose(this.shape.map((_, axis) => axis).reverse());
  }

  reshape(...shape) {
    return new ParameterArray(shape, this.data, this.isZero, this.sources);
  }

  rows(start, stop) {
    const inner = product(this.shape.slice(1));
    const places = Array.from({ length: (stop - start) * inner }, (_, i) => start * inner + i);
    return this.#picked([stop - start, ...this.shape.slice(1)], places);
  }

  plus(other) {
    const sources = [...new Set([...this.sources, ...other.sources])];
    const only = [[other, this], [this, other]].find(([zero]) => zero.isZero.every(Boolean))?.[1];
    if (only) return new ParameterArray(this.shape, only.data, only.isZero, sources);
    const sum = (a, b) => {
      if (Array.isArray(a)) return a.map((part, k) => sum(part, b[k]));
      return typeof a === 'bigint' ? a + b : f32(a + b);
    };
    const data = this.data.map((value, i) => sum(value, other.data[i]));
    return new ParameterArray(this.shape, data, data.map(() => false), sources);
  }

  static concatenate(arrays) {
    const joined = (key) => arrays.flatMap((array) => array[key]);
    return new ParameterArray(
      [arrays.reduce((rows, { shape }) => rows + shape[0], 0), ...arrays[0].shape.slice(1)],
      joined('data'), joined('isZero'), [...new Set(joined('sources'))]);
  }

  static stack(arrays) {
    return ParameterArray.concatenate(arrays.map((array) => array.reshape(1, ...array.shape)));
  }
}
const { concatenate, stack } = ParameterArray;

// ---------------------------------------------------------------- kinds of layers

const REQUIRED = undefined;
const linear = { in_features: REQUIRED, out_features: REQUIRED, bias: true };
const convolution = {
  in_channels: REQUIRED, out_channels: REQUIRED, kernel_size: REQUIRED, groups: 1, bias: true,
};
const recurrent = {
  input_size: REQUIRED, hidden_size: REQUIRED, num_layers: 1, bias: true, bidirectional: false,
};
const transformer = { d_model: REQUIRED, nhead: REQUIRED, dim_feedforward: 2048, bias: true };

/** The arguments of each type with their defaults; all have init, dtype and defaults beside them. */
export const ARGUMENTS = {
  linear,
  bilinear: { in1_features: REQUIRED, in2_features: REQUIRED, out_features: REQUIRED, bias: true },
  lora: { in_features: REQUIRED, out_features: REQUIRED, r: REQUIRED },
  ...Object.fromEntries([1, 2, 3].flatMap((rank) =>
    [[`conv${rank}d`, convolution], [`conv_transpose${rank}d`, convolution]])),
  embedding: { num_embeddings: REQUIRED, embedding_dim: REQUIRED, padding_idx: null },
  batch_norm: { num_features: REQUIRED, affine: true, track_running_stats: true },
  layer_norm: { normalized_shape: REQUIRED, elementwise_affine: true, bias: true },
  rms_norm: { normalized_shape: REQUIRED, elementwise_affine: true },
  group_norm: { num_groups: REQUIRED, num_channels: REQUIRED, affine: true },
  instance_norm: { num_features: REQUIRED, affine: false, track_running_stats: false },
  prelu: { num_parameters: 1 },
  layer_scale: { dim: REQUIRED, init_values: 1e-5 },
  rnn: recurrent,
  lstm: { ...recurrent, proj_size: 0, forget_bias: null },
  gru: recurrent,
  multihead_attention: {
    embed_dim: REQUIRED, num_heads: REQUIRED, bias: true, add_bias_kv: false, kdim: null, vdim: null,
  },
  transformer_encoder_layer: transformer,
  transformer_decoder_layer: transformer,
};

const GATES = { rnn: 'h', lstm: 'ifgo', gru: 'rzn' };

const withDefaults = (layer) => ({ defaults: 'torch', ...ARGUMENTS[layer.type], ...layer });

/** One size for each axis of a kernel. */
const kernelSize = ({ type, kernel_size }) => {
  const sizes = [kernel_size].flat();
  return sizes.length === 1 ? Array(Number(type.at(-2))).fill(sizes[0]) : sizes;
};

const scaleAndShift = (shape, bias = true) => [
  { name: 'weight', shape, init: ones }, ...(bias ? [{ name: 'bias', shape, init: zeros }] : []),
];

const statistics = (features) => [
  { name: 'running_mean', shape: [features], init: zeros },
  { name: 'running_var', shape: [features], init: ones },
  { name: 'num_batches_tracked', shape: [], init: zeros, counter: true },
];

/** Each direction of each recurrent layer: [depth, whether it is the backward one, suffix]. */
function cells({ num_layers, bidirectional }) {
  return Array.from({ length: num_layers }, (_, depth) => depth).flatMap((depth) =>
    [[depth, false, `_l${depth}`], ...(bidirectional ? [[depth, true, `_l${depth}_reverse`]] : [])]);
}

function recurrentParameters(layer) {
  const { type, defaults, input_size, hidden_size, bidirectional, bias, proj_size = 0 } = layer;
  const gates = GATES[type].length;
  const rows = gates * hidden_size;
  const outputs = proj_size || hidden_size;
  const isApart = defaults === 'flax' || (defaults === 'nnx' && type !== 'gru');
  const torch = overRoot(hidden_size);
  const forget = type === 'lstm' ? layer.forget_bias ?? (defaults === 'keras' ? 1 : null) : null;
  return cells(layer).flatMap(([depth, , s]) => {
    const inputs = depth ? outputs * (bidirectional ? 2 : 1) : input_size;
    const weight = (name, columns, init) => ({
      name: `${name}${s}`, shape: [rows, columns], init, roles: [name, 'weight'],
      fans: { jax: [columns, hidden_size] }, gates: isApart ? gates : 1,
    });
    const shift = (name, value) => ({
      name: `${name}${s}`, shape: [rows], init: defaults === 'torch' ? torch : zeros, roles: [name, 'bias'],
      block: forget === null ? undefined : { start: hidden_size, stop: 2 * hidden_size, value },
    });
    return [
      weight('weight_ih', inputs, kernelOf(defaults, torch)),
      weight('weight_hh', outputs, defaults === 'torch' ? torch : scheme('orthogonal')),
      ...(bias ? [shift('bias_ih', forget), shift('bias_hh', 0)] : []),
      ...(proj_size
        ? [{ name: `weight_hr${s}`, shape: [proj_size, hidden_size], init: torch, roles: ['weight_hr', 'weight'] }]
        : []),
    ];
  });
}

const isFused = ({ embed_dim, kdim, vdim }) => [kdim, vdim].every((size) => (size ?? embed_dim) === embed_dim);

function attentionParameters(layer) {
  const { defaults, embed_dim: size, bias, add_bias_kv, kdim, vdim } = layer;
  const init = kernelOf(defaults, scheme('glorot_uniform'));
  const fans = { keras: [size, size], jax: [size, size] };
  return [
    ...(isFused(layer)
      ? [{ name: 'in_proj_weight', shape: [3 * size, size], init, roles: ['weight'], fans }]
      : [['q', size], ['k', kdim ?? size], ['v', vdim ?? size]].map(([letter, inputs]) =>
        ({ name: `${letter}_proj_weight`, shape: [size, inputs], init, roles: ['weight'] }))),
    ...(bias ? [{ name: 'in_proj_bias', shape: [3 * size], init: zeros, roles: ['bias'] }] : []),
    ...(add_bias_kv
      ? ['bias_k', 'bias_v'].map((name) => ({ name, shape: [1, 1, size], init: scheme('glorot_normal') }))
      : []),
    { name: 'out_proj.weight', shape: [size, size], init: kernelOf(defaults), roles: ['weight'] },
    ...(bias ? [{ name: 'out_proj.bias', shape: [size], init: zeros, roles: ['bias'] }] : []),
  ];
}

/** The layers that a transformer layer is made of. */
function children({ type, defaults, d_model, nhead, dim_feedforward, bias }) {
  const isDecoder = type === 'transformer_decoder_layer';
  return [
    ...['self_attn', ...(isDecoder ? ['multihead_attn'] : [])].map((name) =>
      ({ type: 'multihead_attention', name, embed_dim: d_model, num_heads: nhead, bias, defaults })),
    { type: 'linear', name: 'linear1', in_features: d_model, out_features: dim_feedforward, bias, defaults },
    { type: 'linear', name: 'linear2', in_features: dim_feedforward, out_features: d_model, bias, defaults },
    ...['norm1', 'norm2', ...(isDecoder ? ['norm3'] : [])].map((name) =>
      ({ type: 'layer_norm', name, normalized_shape: d_model, bias })),
  ];
}

function composedParameters(layer) {
  return children(layer).flatMap((child) => parameters(child).map((parameter) => {
    const role = parameter.shape.length > 1 ? 'weight' : 'bias';
    return {
      ...parameter, name: `${child.name}.${parameter.name}`,
      roles: parameter.name.includes(role) ? [role] : [],
    };
  }));
}

function convolutionParameters(layer) {
  const { type, defaults, in_channels, out_channels, groups, bias } = layer;
  const isTransposed = type.includes('transpose');
  const kernel = kernelSize(layer);
  const field = product(kernel);
  const [first, second] = isTransposed ? [in_channels, out_channels / groups] : [out_channels, in_channels / groups];
  return [
    {
      name: 'weight', shape: [first, second, ...kernel], init: kernelOf(defaults),
      fans: isTransposed ? { jax: [in_channels * field, second * field] } : {},
    },
    ...(bias ? [{ name: 'bias', shape: [out_channels], init: biasOf(defaults, second * field) }] : []),
  ];
}

/** The parameters of a layer: name, shape, init by default, roles, fans by convention, gates, block. */
export function parameters(given) {
  const layer = withDefaults(given);
  const { type, defaults, bias } = layer;
  if (type in GATES) return recurrentParameters(layer);
  if (type.startsWith('conv')) return convolutionParameters(layer);
  if (type.startsWith('transformer')) return composedParameters(layer);
  switch (type) {
    case 'linear': return [
      { name: 'weight', shape: [layer.out_features, layer.in_features], init: kernelOf(defaults) },
      ...(bias ? [{ name: 'bias', shape: [layer.out_features], init: biasOf(defaults, layer.in_features) }] : []),
    ];
    case 'bilinear': {
      const init = overRoot(layer.in1_features);
      return [
        { name: 'weight', shape: [layer.out_features, layer.in1_features, layer.in2_features], init },
        ...(bias ? [{ name: 'bias', shape: [layer.out_features], init }] : []),
      ];
    }
    case 'lora': {
      const init = byDefaults(defaults, scheme('he_uniform', { a: Math.sqrt(5) }),
        scheme('he_uniform', { convention: 'keras' }), scheme('he_uniform', { convention: 'jax' }));
      return [
        { name: 'lora_A.weight', shape: [layer.r, layer.in_features], init, roles: ['lora_A', 'weight'] },
        { name: 'lora_B.weight', shape: [layer.out_features, layer.r], init: zeros, roles: ['lora_B'] },
      ];
    }
    case 'embedding': {
      const shape = [layer.num_embeddings, layer.embedding_dim];
      const init = byDefaults(defaults, scheme('normal'), scheme('uniform', { low: -0.05, high: 0.05 }),
        scheme('normal', { std: 1 / Math.sqrt(shape[1]) }));
      const row = layer.padding_idx === null ? null : (layer.padding_idx + shape[0]) % shape[0];
      const block = row === null ? undefined : { start: row, stop: row + 1, value: 0 };
      return [{ name: 'weight', shape, init, fans: { keras: shape, jax: shape }, block }];
    }
    case 'batch_norm':
    case 'instance_norm': return [
      ...(layer.affine ? scaleAndShift([layer.num_features]) : []),
      ...(layer.track_running_stats ? statistics(layer.num_features) : []),
    ];
    case 'layer_norm':
      return layer.elementwise_affine ? scaleAndShift([layer.normalized_shape].flat(), bias) : [];
    case 'rms_norm':
      return layer.elementwise_affine ? scaleAndShift([layer.normalized_shape].flat(), false) : [];
    case 'group_norm': return layer.affine ? scaleAndShift([layer.num_channels]) : [];
    case 'prelu': {
      const init = byDefaults(defaults, scheme('constant', { value: 0.25 }), zeros, scheme('constant', { value: 0.01 }));
      return [{ name: 'weight', shape: [layer.num_parameters], init }];
    }
    case 'layer_scale':
      return [{ name: 'gamma', shape: [layer.dim], init: scheme('constant', { value: layer.init_values }), roles: ['weight'] }];
    case 'multihead_attention': return attentionParameters(layer);
    default: throw new Error(`unknown layer ${type}`);
  }
}

// ---------------------------------------------------------------- what frameworks store

const NORMS = ['batch_norm', 'layer_norm', 'rms_norm', 'group_norm', 'instance_norm'];

const NAMES = {
  keras: {
    weight: 'gamma', bias: 'beta', running_mean: 'moving_mean', running_var: 'moving_variance',
  },
  flax: { weight: 'scale', bias: 'bias', running_mean: 'mean', running_var: 'var' },
};

function storedNorm({ type }, framework, p) {
  const names = framework === 'keras' && type !== 'rms_norm' ? NAMES.keras : NAMES.flax;
  return Object.entries(names).filter(([name]) => name in p).map(([name, other]) =>
    ({ name: other, array: p[name], collection: name.startsWith('running') ? 'batch_stats' : 'params' }));
}

function storedAttention(layer, framework, p) {
  const { embed_dim: size, num_heads: heads, bias } = layer;
  const split = [heads, size / heads];
  const out = framework === 'keras' ? 'attention_output' : 'out';
  return [
    ...['query', 'key', 'value'].flatMap((name, i) => {
      const rows = (array) => array.rows(i * size, (i + 1) * size);
      const weight = isFused(layer) ? rows(p.in_proj_weight) : p[`${name[0]}_proj_weight`];
      return [
        { name: `${name}/kernel`, array: weight.T.reshape(weight.shape[1], ...split) },
        ...(bias ? [{ name: `${name}/bias`, array: rows(p.in_proj_bias).reshape(...split) }] : []),
      ];
    }),
    { name: `${out}/kernel`, array: p['out_proj.weight'].T.reshape(...split, size) },
    ...(bias ? [{ name: `${out}/bias`, array: p['out_proj.bias'] }] : []),
  ];
}

/** The tensors of one direction of one recurrent layer, by name. */
function storedCell({ type, bias }, framework, { wih, whh, bih, bhh }) {
  const size = wih.shape[0] / GATES[type].length;
  const gate = (array, i) => array.rows(i * size, (i + 1) * size);
  if (framework === 'keras') {
    const order = type === 'gru' ? [1, 0, 2] : [...GATES[type]].map((_, i) => i);
    const ordered = (array) => concatenate(order.map((i) => gate(array, i)));
    const shift = type === 'gru' ? stack([ordered(bih), ordered(bhh)]) : bih.plus(bhh);
    return { kernel: ordered(wih).T, recurrent_kernel: ordered(whh).T, ...(bias ? { bias: shift } : {}) };
  }
  if (type === 'rnn') {
    const prefix = framework === 'nnx' ? 'dense_' : '';
    return { [`${prefix}i/kernel`]: wih.T, [`${prefix}i/bias`]: bih.plus(bhh), [`${prefix}h/kernel`]: whh.T };
  }
  if (type === 'gru' && framework === 'nnx') {
    const sums = [0, 1].map((i) => gate(bih, i).plus(gate(bhh, i)));
    return {
      'dense_i/kernel': wih.T, 'dense_i/bias': concatenate([...sums, gate(bih, 2)]), 'dense_h/kernel': whh.T,
    };
  }
  return Object.assign({}, ...[...GATES[type]].map((letter, i) => {
    const name = letter === 'f' && framework === 'nnx' ? 'if_' : `i${letter}`;
    const kernels = { [`${name}/kernel`]: gate(wih, i).T, [`h${letter}/kernel`]: gate(whh, i).T };
    const [first, second] = [gate(bih, i), gate(bhh, i)];
    if (type === 'lstm') return { ...kernels, [`h${letter}/bias`]: first.plus(second) };
    return letter === 'n'
      ? { ...kernels, 'in/bias': first, 'hn/bias': second }
      : { ...kernels, [`i${letter}/bias`]: first.plus(second) };
  }));
}

function storedRecurrent(layer, framework, p) {
  const { type, num_layers, bidirectional, hidden_size } = layer;
  const none = ParameterArray.zeros(GATES[type].length * hidden_size);
  const kerasName = type === 'rnn' ? 'simple_rnn' : type;
  return cells(layer).flatMap(([depth, isBackward, s]) => {
    const cell = storedCell(layer, framework, {
      wih: p[`weight_ih${s}`], whh: p[`weight_hh${s}`],
      bih: p[`bias_ih${s}`] ?? none, bhh: p[`bias_hh${s}`] ?? none,
    });
    const way = isBackward ? 'backward' : 'forward';
    const inside = {
      keras: `${bidirectional ? `${way}_${kerasName}/` : ''}${kerasName}_cell/`,
      flax: '',
      nnx: `${bidirectional ? `${way}_rnn/` : ''}cell/`,
    }[framework];
    const suffix = `${num_layers > 1 ? `_l${depth}` : ''}${framework === 'flax' && isBackward ? '_reverse' : ''}`;
    return Object.entries(cell).map(([name, array]) => ({ name: `${inside}${name}`, array, suffix }));
  });
}

/** { name, array, collection, suffix } of what a framework stores, from the parameters by name. */
function stored(given, framework, p) {
  const layer = withDefaults(given);
  const { type } = layer;
  if (type in GATES) return storedRecurrent(layer, framework, p);
  if (NORMS.includes(type)) return storedNorm(layer, framework, p);
  const bias = p.bias ? [{ name: 'bias', array: p.bias }] : [];
  if (type.startsWith('conv')) {
    const space = p.weight.shape.slice(2).map((_, i) => i + 2);
    const isFlipped = type.includes('transpose') && framework !== 'keras';
    const kernel = isFlipped ? p.weight.transpose([...space, 0, 1], space) : p.weight.transpose([...space, 1, 0]);
    return [{ name: 'kernel', array: kernel }, ...bias];
  }
  switch (type) {
    case 'linear': return [{ name: 'kernel', array: p.weight.T }, ...bias];
    case 'lora': return ['A', 'B'].map((letter) => ({
      name: `${framework === 'keras' ? 'lora_kernel' : 'lora'}_${letter.toLowerCase()}`,
      array: p[`lora_${letter}.weight`].T,
    }));
    case 'embedding': return [{ name: framework === 'keras' ? 'embeddings' : 'embedding', array: p.weight }];
    case 'prelu':
      return [framework === 'keras'
        ? { name: 'alpha', array: p.weight }
        : { name: 'negative_slope', array: p.weight.reshape() }];
    case 'layer_scale': return [{ name: 'gamma', array: p.gamma }];
    case 'multihead_attention': return storedAttention(layer, framework, p);
    default: return children(layer).flatMap((child) => {
      const start = `${child.name}.`;
      const own = Object.entries(p).filter(([name]) => name.startsWith(start));
      const arrays = Object.fromEntries(own.map(([name, array]) => [name.slice(start.length), array]));
      return stored(child, framework, arrays).map((one) => ({ ...one, name: `${child.name}/${one.name}` }));
    });
  }
}

/** { name, array } of the tensors of the file that hold a layer, from its parameters by name. */
export function storedTensors(layer, framework, arrays) {
  if (framework === 'torch') {
    return Object.entries(arrays).map(([name, array]) => ({ name: `${layer.name}.${name}`, array }));
  }
  return stored(layer, framework, arrays).map(({ name, array, collection = 'params', suffix = '' }) => {
    const owner = `${layer.name}${suffix}`;
    if (framework === 'keras') return { name: `${owner}/${name}`, array };
    const dotted = `${owner}.${name.replaceAll('/', '.')}`;
    return { name: framework === 'flax' ? `${collection}.${dotted}` : dotted, array };
  });
}
