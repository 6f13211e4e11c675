// Sections 5.3 and 5.4 of docs/stream.md: matrices that are made as a whole.

const sum = (n, term) => {
  let total = 0;
  for (let i = 0; i < n; i++) total += term(i);
  return total;
};
const product = (shape) => shape.reduce((a, b) => a * b, 1);

// 5.3

/** H(rows, columns) as rows of numbers, from a function that gives so many normal draws. */
async function haar(rows, columns, normals) {
  return haarOf(rows, columns, await normals(rows * columns));
}

/** The same of these draws. */
function haarOf(rows, columns, G) {
  const [m, n] = [Math.max(rows, columns), Math.min(rows, columns)];
  const padded = Math.ceil(n / 32) * 32;
  const v = Array.from({ length: m }, () => new Float64Array(padded));
  const tau = new Float64Array(padded);
  const sign = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const g = (i) => G[i * n + k];
    const s = sum(m - k, (i) => g(k + i) * g(k + i));
    const beta = g(k) < 0 ? Math.sqrt(s) : -Math.sqrt(s);
    sign[k] = beta < 0 ? -1 : 1;
    if (s === 0) continue;
    tau[k] = (beta - g(k)) / beta;
    v[k][k] = 1;
    for (let i = k + 1; i < m; i++) v[i][k] = g(i) / (g(k) - beta);
  }
  const Q = Array.from({ length: m }, (_, i) => Float64Array.from({ length: n }, (_, c) => (i === c ? 1 : 0)));
  for (let first = padded - 32; first >= 0; first -= 32) {
    const V = (i, a) => v[i][first + a];
    const T = Array.from({ length: 32 }, () => new Float64Array(32));
    for (let k = 0; k < 32; k++) {
      const gram = Array.from({ length: k }, (_, t) => sum(m, (i) => V(i, t) * V(i, k)));
      for (let a = 0; a < k; a++) T[a][k] = -tau[first + k] * sum(k, (t) => T[a][t] * gram[t]);
      T[k][k] = tau[first + k];
    }
    for (let c = 0; c < n; c++) {
      const W = Float64Array.from({ length: 32 }, (_, a) => sum(m - first, (i) => V(first + i, a) * Q[first + i][c]));
      const Y = Float64Array.from({ length: 32 }, (_, a) => sum(32, (t) => T[a][t] * W[t]));
      for (let i = first; i < m; i++) for (let t = 0; t < 32; t++) Q[i][c] -= V(i, t) * Y[t];
    }
  }
  for (const row of Q) for (let c = 0; c < n; c++) row[c] *= sign[c];
  return rows >= columns ? Q : Array.from({ length: rows }, (_, i) => Q.map((row) => row[i]));
}

/** Whole tensors, as flat arrays of float64; `normals(count, std)` draws, `mask(count)` gives words. */
export const wholes = {
  async orthogonal({ gain = 1, out_axis: out, batch_axis: batch }, shape, { normals }) {
    const places = (axes) => [axes ?? []].flat().map((axis) => (axis < 0 ? axis + shape.length : axis)).sort((a, b) => a - b);
    const stacked = places(batch);
    const rest = shape.map((_, axis) => axis).filter((axis) => !stacked.includes(axis) && !places(out).includes(axis));
    const groups = [stacked, out === undefined || out === null ? rest.splice(0, 1) : places(out), rest];
    const [count, rows, columns] = groups.map((axes) => product(axes.map((axis) => shape[axis])));
    const draws = await normals(count * rows * columns);
    const matrices = Array.from({ length: count }, (_, b) => haarOf(rows, columns, draws.slice(b * rows * columns)));
    return Float64Array.from({ length: draws.length }, (_, index) => {
      const at = shape.map((size, axis) => Math.floor(index / product(shape.slice(axis + 1))) % size);
      const [b, i, j] = groups.map((axes) => axes.reduce((n, axis) => n * shape[axis] + at[axis], 0));
      return gain * matrices[b][i][j];
    });
  },
  async delta_orthogonal({ gain = 1 }, [out, into, ...kernel], { normals }) {
    const taps = product(kernel);
    const centre = kernel.reduce((c, k) => c * k + Math.floor((k - 1) / 2), 0);
    const values = new Float64Array(out * into * taps);
    const H = await haar(out, into, normals);
    for (let i = 0; i < out; i++) for (let j = 0; j < into; j++) values[(i * into + j) * taps + centre] = gain * H[i][j];
    return values;
  },
  async looks_linear({ gain = 1, part = 'hidden' }, [out, into], { normals }) {
    const M = await haar(part === 'last' ? out : out / 2, part === 'first' ? into : into / 2, normals);
    const rows = M.map((row) => {
      const some = Array.from(row, (q) => gain * q);
      return part === 'first' ? some : [...some, ...some.map((q) => -q)];
    });
    const all = part === 'last' ? rows : [...rows, ...rows.map((row) => row.map((q) => -q))];
    return all.flat();
  },
  async householder(_, [out, into], { normals }) {
    const v = await normals(Math.max(out, into));
    const S = sum(v.length, (i) => v[i] * v[i]);
    return Float64Array.from({ length: out * into }, (_, index) => {
      const [i, j] = [Math.floor(index / into), index % into];
      const entry = -((2 * v[i] * v[j]) / S);
      return i === j ? entry + 1 : entry;
    });
  },
  async sparse({ sparsity, std = 0.01, per = 'column' }, [out, into], { normals, mask }) {
    const values = await normals(out * into, std);
    const words = await mask(out * into);
    const [lines, length] = per === 'column' ? [into, out] : [out, into];
    for (let line = 0; line < lines; line++) {
      const places = Array.from({ length }, (_, i) => (per === 'column' ? i * into + line : line * into + i));
      places.sort((a, b) => words[a] - words[b] || a - b);
      for (const place of places.slice(0, Math.ceil(sparsity * length))) values[place] = 0;
    }
    return values;
  },
  async unit_norm_rows({ gain = 1 }, [out, ...rest], { normals }) {
    const width = product(rest);
    const values = Float64Array.from(await normals(out * width));
    for (let i = 0; i < out; i++) {
      const row = values.subarray(i * width, (i + 1) * width);
      const factor = gain / Math.sqrt(sum(width, (j) => row[j] * row[j]));
      row.forEach((x, j) => { row[j] = x * factor; });
    }
    return values;
  },
  async lsuv_gaussian({ second_moment = 1 }, [out, ...rest], { normals }) {
    const width = product(rest);
    const x = await normals(out * width);
    const S = sum(out, (i) => sum(width, (j) => x[i * width + j] * x[i * width + j]));
    const factor = Math.sqrt(out / second_moment / S);
    return Float64Array.from(x, (g) => g * factor);
  },
};
