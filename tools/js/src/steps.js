/**
 * Layers without weights (spec/model.md, section 3), on rows of one shape.
 *
 * Numbers of type "f32" are kept as binary64: this is the float64 evaluation of section 5.
 */

import { product } from "./bytes.js";

/** @typedef {{data: any, n: number, shape: number[]}} Value rows of one shape */

/** Elementwise. */
const map = (f, Type) => ([{ data, n, shape }]) => {
  const out = new (Type ?? data.constructor)(data.length);
  for (let i = 0; i < data.length; i++) out[i] = f(data[i]);
  return { data: out, n, shape };
};

/** The same numbers in another shape. */
const reshaped = ([{ data, n }], shape) => ({ data, n, shape });

const REACH = 2 ** 17; // a table is made longer up to this, so that nothing need be held to its ends

/**
 * The table from -reach to reach - 1, its first and last entry repeated; itself where sums reach further, or where a sum that has
 * been moved by `reach` would not stay exact.
 */
function longer(table, bound, multiplier, shift) {
  const middle = table.length / 2;
  const largest = bound * multiplier.reduce((a, b) => Math.max(a, b), 1);
  const reach = Math.max(Math.floor(largest / 2 ** shift) + 2, middle);
  const isWhole = reach <= REACH && largest + (reach + 1) * 2 ** shift < 2 ** 53;
  if (!isWhole || reach === middle) return { long: table, reach: middle, isWhole };
  const long = new table.constructor(2 * reach).fill(table[0], 0, reach - middle).fill(table.at(-1), reach + middle);
  long.set(table, reach - middle);
  return { long, reach, isWhole };
}

/**
 * `lookup`: floor, product and division by a power of two are exact in doubles.
 * @param {number} bound of the sums
 */
export function lookup({ shift }, multiplier, table, bound) {
  const { data: m } = multiplier, Out = table.data.constructor;
  const half = shift ? 2 ** (shift - 1) : 0, inverse = 2 ** -shift;
  const { long, reach, isWhole } = longer(table.data, bound, m, shift);
  const take = isWhole ? takeInside : takeHeld;
  return ([{ data, n, shape }]) => {
    const out = new Out(data.length), c = shape.at(-1);
    const factor = Float64Array.from({ length: c }, (_, j) => m[m.length === 1 ? 0 : j] * inverse);
    take(data, factor, half * inverse, long, reach, out);
    return { data: out, n, shape };
  };
}

/** Every sum leads into the table. */
function takeInside(data, factor, half, table, reach, out) {
  const c = factor.length, origin = half + reach;
  for (let first = 0; first < data.length; first += c) {
    for (let j = 0; j < c; j++) out[first + j] = table[(data[first + j] * factor[j] + origin) | 0];
  }
}

/** A sum may lead beyond the table. */
function takeHeld(data, factor, half, table, middle, out) {
  const c = factor.length;
  for (let first = 0; first < data.length; first += c) {
    for (let j = 0; j < c; j++) {
      const at = Math.floor(data[first + j] * factor[j] + half);
      out[first + j] = table[(at < -middle ? 0 : at >= middle ? 2 * middle - 1 : at + middle) | 0];
    }
  }
}

export function add(isExact) {
  const Out = isExact ? Int32Array : Float64Array;
  return (inputs, shape) => {
    const out = Out.from(inputs[0].data);
    for (const { data } of inputs.slice(1)) for (let i = 0; i < out.length; i++) out[i] += data[i];
    return { data: out, n: inputs[0].n, shape };
  };
}

function concat({ axis }) {
  return (inputs, shape) => {
    const { data: first, n } = inputs[0];
    const runs = inputs.map((input) => product(input.shape.slice(axis)));
    const whole = runs.reduce((sum, run) => sum + run, 0);
    const out = new first.constructor(n * product(shape));
    let before = 0;
    inputs.forEach(({ data }, k) => {
      const run = runs[k];
      for (let from = 0, to = before; from < data.length; from += run, to += whole) {
        for (let i = 0; i < run; i++) out[to + i] = data[from + i];
      }
      before += run;
    });
    return { data: out, n, shape };
  };
}

/** Copies channels `start` to `stop - 1`. */
function slice({ start, stop }) {
  return ([{ data, n, shape: from }], shape) => {
    const c = from.at(-1), out = new data.constructor(n * product(shape));
    for (let at = start, to = 0; to < out.length; at += c) for (let i = 0; i < stop - start; i++) out[to++] = data[at + i];
    return { data: out, n, shape };
  };
}

/** Each pixel of the output from the one that `source` names, or `value` where that is outside. */
function moved(source, value = 0) {
  return ([{ data, n, shape: [h, w, c] }], shape) => {
    const [rows, columns] = shape, out = new data.constructor(n * rows * columns * c).fill(value);
    for (let line = 0, to = 0; line < n * rows; line++) for (let j = 0; j < columns; j++, to += c) {
      const [y, x] = source(line % rows, j);
      if (y < 0 || y >= h || x < 0 || x >= w) continue;
      const from = ((Math.floor(line / rows) * h + y) * w + x) * c;
      for (let k = 0; k < c; k++) out[to + k] = data[from + k];
    }
    return { data: out, n, shape };
  };
}

/** Under each window: `start`, then `take` with each number in the input, then `end` with how many there were. */
function pooled({ size: [kh, kw], strides: [sh, sw], padding: [top, , left] }, start, take, end) {
  return ([{ data, n, shape: [h, w, c] }], shape) => {
    const [rows, columns] = shape, out = new data.constructor(n * rows * columns * c);
    for (let line = 0, to = 0; line < n * rows; line++) for (let j = 0; j < columns; j++) {
      const i = line % rows, image = Math.floor(line / rows) * h;
      const y0 = Math.max(i * sh - top, 0), y1 = Math.min(i * sh - top + kh, h);
      const x0 = Math.max(j * sw - left, 0), x1 = Math.min(j * sw - left + kw, w);
      for (let k = 0; k < c; k++) {
        let all = start;
        for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) all = take(all, data[((image + y) * w + x) * c + k]);
        out[to++] = end(all, (y1 - y0) * (x1 - x0));
      }
    }
    return { data: out, n, shape };
  };
}

/** erf to about 1e-15, by the series whose terms are all positive. @param {number} x */
export function erf(x) {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  let term = size, sum = size;
  for (let k = 1; term > sum * 1e-17; k++) sum += term *= (2 * size * size) / (2 * k + 1);
  return Math.sign(x) * Math.min((2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum, 1);
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  sigmoid,
  tanh: Math.tanh,
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  silu: (x) => x * sigmoid(x),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};

/** Kind -> what computes it. */
const STEPS = {
  concat,
  slice,
  upsample: ({ factors: [fh, fw] }) => moved((y, x) => [Math.floor(y / fh), Math.floor(x / fw)]),
  max_pool: (layer) => pooled(layer, -Infinity, (a, x) => (x > a ? x : a), (a) => a),
  average_pool: (layer) => pooled(layer, 0, (a, x) => a + x, (a, n) => a / n),
  pad: ({ padding: [top, , left], value }) => moved((y, x) => [y - top, x - left], value),
  crop: ({ crop: [top, , left] }) => moved((y, x) => [y + top, x + left]),
  reshape: () => reshaped,
  flatten: () => reshaped,
  scale: ({ num, den }) => map((x) => Math.fround(Math.fround(x * num) / den), Float64Array),
  leaky_relu: ({ num, den }) => map((x) => (x >= 0 ? x : (x * num) / den)),
  to_u8: () => map((x) => (x > 0 ? Math.floor(255 * Math.min(x, 1) + 0.5) : 0), Uint8Array),
};

/** What computes a layer without tensors. */
export function plainStep(layer) {
  return Object.hasOwn(ACTIVATIONS, layer.kind) ? map(ACTIVATIONS[layer.kind]) : STEPS[layer.kind](layer);
}
