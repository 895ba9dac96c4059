/**
 * Layers with weights (spec/model.md, section 3) as matrix products.
 *
 * A transposed convolution is computed by phase: each place of the input grid, with its neighbours before it, makes the whole
 * block of `strides` pixels, so that every output is written once.
 */

import { Matrix, multiplyAll } from "./matrix.js";

/** @typedef {{data: any, n: number, shape: number[]}} Value rows of one shape */

const range = (n, f) => Int32Array.from({ length: n }, (_, i) => f(i));

/** Zeros around each row of images: top, bottom, left, right. */
function padded({ data, n, shape: [h, w, c] }, [top, bottom, left, right]) {
  if (!(top || bottom || left || right)) return { data, h, w };
  const height = h + top + bottom, width = w + left + right;
  const out = new data.constructor(n * height * width * c);
  for (let y = 0; y < n * h; y++) {
    const row = Math.floor(y / h) * height + top + (y % h);
    out.set(data.subarray(y * w * c, (y + 1) * w * c), (row * width + left) * c);
  }
  return { data: out, h: height, w: width };
}

/** Offsets of the numbers under a window of kh x kw. */
function windowOffsets(kh, kw, c, width) {
  return range(kh * kw * c, (i) => (Math.floor(i / (kw * c)) * width + (Math.floor(i / c) % kw)) * c + (i % c));
}

/** Copies a row of results to its place in `out`. */
function writeRow(out, nColumns) {
  return (m, tile, at) => {
    for (let j = 0, to = m * nColumns; j < nColumns; j++) out[to + j] = tile[at + j];
  };
}

/** @returns {(inputs: Value[]) => Value} */
export function dense(layer, weights, bias, bound, Out) {
  const [nIn, nOut] = weights.shape;
  const matrix = new Matrix(nIn, nOut, (i, j) => weights.data[i * nOut + j], (j) => bias.data[j], bound);
  const offsets = range(nIn, (i) => i);
  return ([{ data, n }]) => {
    const out = new Out(n * nOut);
    multiplyAll(matrix, data, offsets, n, (m) => m * nIn, writeRow(out, nOut));
    return { data: out, n, shape: [nOut] };
  };
}

/** @returns {(inputs: Value[], shape: number[]) => Value} */
export function conv2d({ strides: [sh, sw], padding }, weights, bias, bound, Out) {
  const [kh, kw, c, d] = weights.shape;
  const matrix = new Matrix(kh * kw * c, d, (k, j) => weights.data[k * d + j], (j) => bias.data[j], bound);
  return ([value], shape) => {
    const { data, h, w } = padded(value, padding);
    const { n } = value, [rows, columns] = shape;
    const out = new Out(n * rows * columns * d);
    const place = (m) => {
      const x = m % columns, row = (m - x) / columns, y = row % rows, image = (row - y) / rows;
      return ((image * h + y * sh) * w + x * sw) * c;
    };
    multiplyAll(matrix, data, windowOffsets(kh, kw, c, w), n * rows * columns, place, writeRow(out, d));
    return { data: out, n, shape };
  };
}

/** The weights of one place: a window of a x b inputs, the last row and column of which is the place's own. */
function phaseMatrix({ strides: [sh, sw] }, { shape: [kh, kw, d, c], data }, bias, bound) {
  const a = Math.ceil(kh / sh), b = Math.ceil(kw / sw);
  const weight = (k, j) => {
    const channel = k % c, column = Math.floor(k / c) % b, row = Math.floor(k / (c * b));
    const y = (a - 1 - row) * sh + Math.floor(j / (sw * d)), x = (b - 1 - column) * sw + (Math.floor(j / d) % sw);
    return y < kh && x < kw ? data[((y * kw + x) * d + (j % d)) * c + channel] : 0;
  };
  return { a, b, matrix: new Matrix(a * b * c, sh * sw * d, weight, (j) => bias.data[j % d], bound) };
}

/** @returns {(inputs: Value[], shape: number[]) => Value} */
export function conv2dTranspose(layer, weights, bias, bound, Out) {
  const { strides: [sh, sw], crop: [top, , left] } = layer, [, , d, c] = weights.shape;
  const { a, b, matrix } = phaseMatrix(layer, weights, bias, bound);
  return ([value], shape) => {
    const { n, shape: [h, w] } = value, [rows, columns] = shape;
    const around = padded(value, [a - 1, a - 1, b - 1, b - 1]);
    const nRows = h + a - 1, nColumns = w + b - 1; // places that reach the result
    const out = new Out(n * rows * columns * d);
    const place = (m) => {
      const x = m % nColumns, row = (m - x) / nColumns, y = row % nRows, image = (row - y) / nRows;
      return ((image * around.h + y) * around.w + x) * c;
    };
    const write = (m, tile, at) => {
      const x = m % nColumns, row = (m - x) / nColumns, y = row % nRows, image = (row - y) / nRows;
      const first = x * sw - left, from = Math.max(-first, 0), to = Math.min(columns - first, sw);
      for (let py = 0; py < sh; py++) {
        const line = y * sh + py - top;
        if (line < 0 || line >= rows) continue;
        const base = ((image * rows + line) * columns + first) * d, source = at + py * sw * d;
        for (let i = from * d; i < to * d; i++) out[base + i] = tile[source + i];
      }
    };
    multiplyAll(matrix, around.data, windowOffsets(a, b, c, around.w), n * nRows * nColumns, place, write);
    return { data: out, n, shape };
  };
}

/** @returns {(inputs: Value[], shape: number[]) => Value} */
export function affine(layer, weights, bias, bound, Out) {
  const c = weights.shape[0];
  return ([{ data, n }], shape) => {
    const out = new Out(data.length);
    for (let i = 0, j = 0; i < data.length; i++) {
      out[i] = data[i] * weights.data[j] + bias.data[j];
      if (++j === c) j = 0;
    }
    return { data: out, n, shape };
  };
}
