// The bed: the first weights as they lie in their matrix, size for magnitude, colour for sign.

import { colour, onTheme } from "./theme.js";

const PITCH = 11;
const ROWS = { wide: 18, narrow: 22 };

let shown = null;

/** Make a canvas draw what `sow` gives it, at any width and in any theme. */
export function setUpBed(canvas) {
  new ResizeObserver(() => draw(canvas)).observe(canvas.parentElement);
  onTheme(() => draw(canvas));
}

/**
 * Show values.
 * @param {HTMLCanvasElement} canvas
 * @param {Float64Array} values
 * @param {number[]} shape of their tensor, rows first
 * @param {number} first index of the first value
 */
export function sow(canvas, values, shape, first) {
  shown = { values, rowLength: shape.slice(1).reduce((a, b) => a * b, 1), first };
  draw(canvas);
}

function draw(canvas) {
  if (!shown) return;
  const { values, first } = shown;
  const width = canvas.parentElement.clientWidth;
  const columns = Math.max(8, Math.floor(width / PITCH));
  const rows = width < 600 ? ROWS.narrow : ROWS.wide;
  const pitch = width / columns;
  const ratio = devicePixelRatio || 1;
  // Rows of the tensor stay rows, unless it has too few whole ones among what was read.
  let stride = shown.rowLength;
  let start = (stride - (first % stride)) % stride;
  if (stride < columns / 3 || start + stride * 3 > values.length) [stride, start] = [columns, 0];
  const across = Math.min(columns, stride);
  const down = Math.min(rows, Math.ceil((values.length - start) / stride));
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(Math.max(1, down) * pitch * ratio);
  canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);

  let square = 0;
  for (const x of values) square += Number.isFinite(x) ? x * x : 0;
  const unit = Math.sqrt(square / values.length) || 1;
  const [positive, negative] = [colour("--positive"), colour("--negative")];
  for (let i = 0; i < down; i += 1) {
    for (let j = 0; j < across; j += 1) {
      const x = values[start + i * stride + j];
      if (!x) continue;
      const radius = (pitch / 2) * Math.min(1, Math.sqrt(Math.abs(x) / unit / 2.4));
      context.fillStyle = x > 0 ? positive : negative;
      context.beginPath();
      context.arc((j + 0.5) * pitch, (i + 0.5) * pitch, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }
}
