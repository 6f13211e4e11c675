// Parameters of schemes, with types and defaults: the table of section 9.1 of docs/stream.md.

import { readFileSync } from 'node:fs';

import { Spelled, float } from './json.mjs';

const word = (by) => ['word', by];
const real = (by) => ['float', by];
const whole = (by) => ['int', by];

const directions = {
  in_axis: ['axes', null], out_axis: ['axes', null], batch_axis: ['axes', null],
  fan_in: whole(null), fan_out: whole(null),
};

/** Rows of the document's own table: `name` and what stands beside it. */
const document = readFileSync(new URL('../../../docs/stream.md', import.meta.url), 'utf8');
const table = document.split('<!-- parameters -->\n\n')[1].split('\n\n')[0].split('\n').slice(2);

/** A number as the document has it, null, or nothing where it has to be given. */
const numberOf = (text) => (text === undefined ? undefined : text === 'null' ? null : Number(text.replace('−', '-')));

/** The parameters of one row: floats and integers with one default, words with several values. */
function parametersOf([floats, words, integers]) {
  const numbers = (cell, type) => [...cell.matchAll(/(?<=^|, )`(\w+)`(?: (null|−?[\d.e−]+))?/g)]
    .map(([, name, by]) => [name, type(numberOf(by))]);
  const texts = words.split('; ').filter(Boolean).map((cell) => cell.match(/`(\w+)`(?: (\w+))?/))
    .map(([, name, first = 'torch']) => [name, word(first)]);
  return {
    ...(integers.includes('directions') ? directions : {}),
    ...Object.fromEntries([...numbers(floats, real), ...texts, ...numbers(integers, whole)]),
  };
}

const PARAMETERS = Object.fromEntries(table.flatMap((row) => {
  const [schemes, ...columns] = row.split('|').slice(1, -1).map((cell) => cell.trim());
  return [...schemes.matchAll(/`(\w+)`/g)].map(([, name]) => [name, parametersOf(columns)]);
}));

// What the table says in words.
Object.assign(PARAMETERS.constant, { value: ['number'] });
Object.assign(PARAMETERS.literal, { values: ['numbers'] });
Object.assign(PARAMETERS.arange, { start: ['number', 0], step: ['number', 1] });
Object.assign(PARAMETERS.orthogonal, { out_axis: ['axes', null], batch_axis: ['axes', null] });
PARAMETERS.chain = { of: ['init'], steps: ['steps'] };
PARAMETERS.parts = { init: ['init', null], parts: ['parts'] };

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
