// Section 6.2 of docs/stream.md: what has a stream, and what rules and `same_as` decide about it.

import { INTEGERS, RANGES } from './draws.mjs';
import { parameters } from './layers.mjs';
import { parametersOfModel } from './manifest.mjs';
import { asObject } from './schemes.mjs';

// ---------------------------------------------------------------- globs

/** The glob of a rule as a regular expression over whole names, with a group for each star. */
function globExpression(pattern) {
  const escape = (character) => `\\u{${character.codePointAt(0).toString(16)}}`;
  const characters = [...pattern];
  let source = '';
  for (let i = 0; i < characters.length; i++) {
    const negated = characters[i + 1] === '!';
    const begin = i + 1 + negated;
    const end = characters[i] === '[' ? characters.indexOf(']', begin + 1) : -1; // a first ] is a member
    if (characters[i] === '*') source += '(.*?)';
    else if (characters[i] === '?') source += '.';
    else if (end < 0) source += escape(characters[i]);
    else {
      source += negated ? '[^' : '[';
      for (let k = begin; k < end; k++) {
        const range = characters[k + 1] === '-' && k + 2 < end;
        const last = range ? characters[k + 2] : characters[k];
        if (characters[k].codePointAt(0) <= last.codePointAt(0)) source += `${escape(characters[k])}-${escape(last)}`;
        if (range) k += 2;
      }
      source += ']';
      i = end;
    }
  }
  return new RegExp(`^${source}$`, 'su');
}

// ---------------------------------------------------------------- names

/** The scheme that a layer, or its defaults, say for a parameter. */
function chosenInit(layer, { name, roles = [], init }) {
  const given = layer.init ?? {};
  const byName = typeof given === 'string' || 'scheme' in given ? { weight: given } : given;
  const key = [name, ...roles].find((one) => one in byName);
  return asObject(key === undefined ? init : byName[key]);
}

/** What a layer says that a parameter equals. */
const equalOf = ({ same_as }, name) => (typeof same_as === 'string' ? `${same_as}.${name}` : same_as?.[name]);

/** Everything with a stream: tensors of their own, parameters of layers and of a model. */
function subjectsOf({ tensors = [], layers = [], model }) {
  return [
    ...tensors.map((tensor) => ({ ...tensor, owner: 'tensor', init: asObject(tensor.init) })),
    ...layers.flatMap((layer) => parameters(layer).map((parameter) => ({
      ...parameter, owner: 'layer', layer, name: `${layer.name}.${parameter.name}`, parameter: parameter.name,
      init: chosenInit(layer, parameter), dtype: parameter.counter ? 'I64' : layer.dtype ?? undefined,
      same_as: equalOf(layer, parameter.name),
    }))),
    ...parametersOfModel(model).map((parameter) =>
      ({ ...parameter, owner: 'model', counter: INTEGERS.includes(parameter.dtype) })),
  ];
}

// ---------------------------------------------------------------- decisions

/** Whether an integer dtype holds what an init fills it with. */
function holds(dtype, init) {
  const value = { zeros: 0, ones: 1, constant: init.value }[init.scheme];
  if (value === undefined || !(Number(value) === Math.floor(Number(value)))) return false;
  const [low, high] = RANGES[dtype];
  return low <= BigInt(value) && BigInt(value) <= high;
}

/** What the rules say of a name: the last with a fill, with a dtype, and to drop or keep it. */
function said(rules, subject) {
  let [fill, dtype, drop, equal] = [];
  const dropping = []; // those that would drop it
  for (const rule of rules) {
    const match = rule.expression.exec(subject.name);
    if (!match) continue;
    const stars = match.slice(1);
    const other = rule.same_as?.replace(/\*/g, () => stars.shift());
    if (rule.init) [fill, equal] = [rule, undefined];
    else if (other !== undefined && other !== subject.name) [fill, equal] = [rule, other];
    if (rule.dtype) dtype = rule;
    if (subject.owner === 'tensor') continue;
    if (rule.drop) dropping.push(rule);
    if (rule.drop || (rule.drop === false && dropping.length)) drop = rule;
  }
  for (const rule of [fill, dtype, drop, ...(drop && !drop.drop ? dropping : [])]) if (rule) rule.isHeard = true;
  return { fill, dtype, drop, equal };
}

/** The parts of a rule that have to decide something. */
const partsOf = (rule) => [
  ...(rule.init || rule.same_as ? ['fill'] : []), ...(rule.dtype ? ['dtype'] : []),
  ...(typeof rule.drop === 'boolean' ? ['drop'] : []),
];

/** Every name of a spec with what is decided about it, and the rules that say something. */
export function decide(spec) {
  const rules = (spec.rules ?? []).map((rule) => ({ ...rule, expression: globExpression(rule.match), decides: new Set() }));
  const subjects = subjectsOf(spec);
  const byName = new Map(subjects.map((subject) => [subject.name, subject]));
  for (const subject of subjects) {
    let { fill, dtype, drop, equal } = said(rules, subject);
    if (subject.counter) {
      if (dtype && !INTEGERS.includes(dtype.dtype)) dtype = undefined;
      if (fill?.init && !holds(dtype?.dtype ?? subject.dtype, asObject(fill.init))) fill = undefined;
    }
    const isStored = !(subject.counter && subject.owner === 'layer') || (spec.framework ?? 'torch') === 'torch';
    subject.isDropped = !isStored || (drop?.drop ?? false);
    subject.dtype = dtype?.dtype ?? subject.dtype ?? spec.dtype ?? 'F32';
    if (fill) [subject.init, subject.same_as, subject.isGuess] = [asObject(fill.init), equal, false];
    subject.fill = fill;
    if (isStored) drop?.decides.add('drop');
    if (!subject.isDropped) {
      fill?.decides.add('fill');
      dtype?.decides.add('dtype');
    }
  }
  for (const subject of subjects) {
    subject.root = subject;
    while (subject.root.same_as !== undefined && subject.root.same_as !== null) {
      subject.root = byName.get(subject.root.same_as);
      if (!subject.isDropped && subject.root.isDropped) subject.root.fill?.decides.add('fill');
    }
  }
  const heard = rules.filter(({ isHeard }) => isHeard);
  return { subjects, rules: heard.map((rule) => ({ ...rule, optional: !partsOf(rule).every((part) => rule.decides.has(part)) })) };
}
