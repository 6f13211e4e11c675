// Section 9.2 of docs/stream.md: the parameters of a manifest, and the digest of the model they are.

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

/** The parameters of a model; only of a manifest does the document say them. */
export function parametersOfModel(model) {
  if (!model) return [];
  if (!model.manifest) throw new Error('presets and configs are past the end of the document');
  return entriesOf(model).map(({ name, shape, dtype, init, same_as }) => {
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
