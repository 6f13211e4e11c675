// Numbers as people write them.

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A number to some significant digits, with a real minus: 0.05051, −1.2·10⁻⁵. */
export function number(value, digits = 4, trim = trimmed) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return minus(`${trim(mantissa)}·${power(Number(exponent))}`);
  }
  return minus(trim(value.toPrecision(digits)));
}

/** A number to exactly so many significant digits, to stand beside another. */
export const exact = (value, digits = 4) => number(value, digits, (text) => text);

/** A power of ten: 10⁻⁵. */
export const power = (exponent) =>
  `10${exponent < 0 ? "⁻" : ""}${[...String(Math.abs(exponent))].map((d) => SUPERSCRIPTS[d]).join("")}`;

/** As many digits as a plot's axis needs. */
export const tick = (value) => (value === 0 ? "0" : number(Number(value.toPrecision(6)), 5));

/** A count with its thousands apart. */
export const count = (value) => value.toLocaleString("en-GB");

/** Bytes in binary units: 256 KiB. */
export function bytes(value) {
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : Number(size.toPrecision(4))} ${UNITS[unit]}`;
}

/** A signed percentage. */
export function percent(ratio) {
  const text = number(Math.abs(ratio) * 100, 2);
  return `${ratio < 0 ? "−" : "+"}${text} %`;
}

const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
const minus = (text) => text.replace("-", "−");

/** A scheme and its parameters in a line. */
export function spelled(init) {
  if (typeof init === "string") return init;
  const { scheme, ...rest } = init;
  const parts = Object.entries(rest).map(
    ([k, v]) => `${k} ${typeof v === "number" ? number(v) : v}`,
  );
  return [scheme, ...parts].join(", ");
}
