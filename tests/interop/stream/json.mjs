// JSON as section 9.1 of docs/stream.md reads and spells it.

const utf8 = new TextEncoder();

/** Names in the order of their bytes, which is that of their code points. */
export const byBytes = (a, b) => Buffer.compare(utf8.encode(a), utf8.encode(b));

const MARK = '\u0000number';

/** The integer or float that a token spells: integers past 2^53 are BigInt. */
function numberOf(token) {
  if (!isIntegerToken(token)) return Number(token);
  const integer = Number(token) + 0; // −0 is the integer 0
  return Number.isSafeInteger(integer) ? integer : BigInt(token);
}
const isIntegerToken = (token) => /^-?\d+$/.test(token);

function parse(text, number) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    (token[0] === '"' ? token : JSON.stringify({ [MARK]: token })));
  return JSON.parse(marked, (_, value) => (value !== null && typeof value === 'object' && MARK in value
    ? number(value[MARK]) : value));
}

/** JSON.parse, but integers past 2^53 become BigInt. */
export const parseJson = (text) => parse(text, numberOf);

/** A value whose numbers are spelled as they were read: integers as integers, floats as floats. */
export const asSpelled = (text) => parse(text, (token) =>
  new Spelled(isIntegerToken(token) ? BigInt(token).toString() : float(Number(token))));

/** Text that is JSON already. */
export class Spelled {
  constructor(text) {
    this.text = text;
  }
}

/** A float64 as Python's repr spells it: the shortest decimal that reads back alike. */
export function float(number) {
  const x = Number(number);
  const [digits, power] = Math.abs(x).toExponential().split('e');
  const sign = x < 0 || Object.is(x, -0) ? '-' : '';
  const exponent = Number(power);
  const figures = digits.replace('.', '');
  if (exponent < -4 || exponent >= 16) {
    const size = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${digits}e${exponent < 0 ? '-' : '+'}${size}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${figures}`;
  const whole = figures.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${sign}${whole}.${figures.slice(exponent + 1) || '0'}`;
}

/** JSON without spaces and with sorted keys; members that are undefined are left out. */
export function spell(value) {
  if (value instanceof Spelled) return value.text;
  if (Array.isArray(value)) return `[${value.map(spell)}]`;
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
  const keys = Object.keys(value).filter((key) => value[key] !== undefined).sort(byBytes);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${spell(value[key])}`)}}`;
}
