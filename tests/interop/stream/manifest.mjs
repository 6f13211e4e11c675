// Sections 6.4 and 9.2 of docs/stream.md: the parameters of a manifest or list, and the digest of the model.

import { asObject } from './schemes.mjs';
import { canonicalInit } from './inits.mjs';
import { byBytes, spell } from './json.mjs';
import { sha256 } from './words.mjs';

const ZEROS = ['running_mean', 'num_batches_tracked', 'beta', 'moving_mean', 'mean', 'b'];

/** How a tensor starts of which only name and shape are known. */
function guess(name, rank, std) {
  const last = name.split(/[./]/).at(-1);
  if (ZEROS.includes(last) || last.endsWith('bias')) return { scheme: 'zeros' };
  return rank < 2 ? { scheme: 'ones' } : { scheme: 'normal', std };
}

/** All entries of a manifest, in the order of their names. */
export function entriesOf({ manifest }) {
  const headers = [manifest].flat();
  const entries = headers.flatMap((header) => Object.entries(header).filter(([name]) => name !== '__metadata__'));
  return entries.sort(([a], [b]) => byBytes(a, b)).map(([name, entry]) =>
    ({ name, ...(Array.isArray(entry) ? { shape: entry } : entry) }));
}

const RANGE = /\{(0|[1-9]\d{0,8})\.\.(0|[1-9]\d{0,8})\}/;

/** The entries of a list without ranges, loop by loop (section 6.4). */
function expanded(entries) {
  const found = [];
  for (let at = 0; at < entries.length;) {
    const range = RANGE.exec(entries[at].name);
    if (!range) {
      found.push(entries[at++]);
      continue;
    }
    const head = range.input.slice(0, range.index + range[0].length);
    const from = at;
    while (at < entries.length && entries[at].name.startsWith(head) && RANGE.exec(entries[at].name).index === range.index) at++;
    for (let i = Number(range[1]); i <= Number(range[2]); i++) {
      found.push(...expanded(entries.slice(from, at).map((entry) =>
        ({ ...entry, name: entry.name.replace(RANGE, i), same_as: entry.same_as?.replace(RANGE, i) }))));
    }
  }
  return found;
}

/** Whether the document says the parameters of a model. */
export const isSaid = (model) => Boolean(model.manifest ?? model.list);

/** The parameters of a model; only of a manifest or a list does the document say them. */
export function parametersOfModel(model) {
  if (!model) return [];
  if (!isSaid(model)) throw new Error('presets and configs are past the end of the document');
  return (model.list ? expanded(model.list) : entriesOf(model)).map(({ name, shape, dtype, init, same_as }) => {
    const isGuess = init === undefined && same_as === undefined;
    const std = Number(model.initializer_range ?? 0.02);
    return {
      name, shape, dtype, same_as, isGuess,
      init: asObject(init) ?? (isGuess ? guess(name, shape.length, std) : { scheme: 'zeros' }),
    };
  });
}

/** A text as Python's ascii spells it. */
function quoted(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = Array.from(text, (character) => {
    if (character === '\\' || character === quote) return `\\${character}`;
    if (character < '\u0080') return character;
    const digits = character.codePointAt(0).toString(16);
    const [letter, size] = digits.length <= 2 ? ['x', 2] : digits.length <= 4 ? ['u', 4] : ['U', 8];
    return `\\${letter}${digits.padStart(size, '0')}`;
  });
  return `${quote}${escaped.join('')}${quote}`;
}

/** The digest of a model, 64 hexadecimal digits. */
export async function modelDigest(model) {
  const lines = parametersOfModel(model).map(({ name, shape, dtype, init, same_as }) => {
    const equal = same_as === undefined ? '' : ` = ${quoted(same_as)}`;
    return `${quoted(name)} [${shape.join(', ')}] ${dtype ?? 'None'} ${spell(canonicalInit(init))} [] [] 1${equal}\n`;
  });
  return (await sha256(lines.join(''))).toString('hex');
}
