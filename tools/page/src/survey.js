/**
 * What the latents of a file are like: a histogram of their numbers, and a map of the rows by their two principal components.
 */

import { product } from "../../js/src/bytes.js";

const MOST_ROWS = 2000; // that are looked at, spread over the file
const MOST_VALUES = 4000000;
const MOST_BINS = 64;
const ROUNDS = 60; // of the power iteration

/** @param {any} file latents */
export async function survey(file) {
  const { points, numbers, names } = await sample(file);
  return { histogram: histogram(numbers), map: points.length > 2 ? principal(points) : null, rows: points.map(({ row }) => row), names };
}

/** Rows spread evenly, each as a vector: its values, or with sizes of their own the mean of each channel. */
async function sample(file) {
  const isFree = file.header.dims.includes(0);
  const points = [], numbers = [], names = [];
  const perRow = isFree ? 0 : product(file.header.dims);
  const nWanted = Math.min(file.length, MOST_ROWS, perRow ? Math.max(3, Math.floor(MOST_VALUES / perRow)) : 200);
  let nValues = 0;
  for (let i = 0; i < nWanted && nValues < MOST_VALUES; i++) {
    const row = Math.floor((i * file.length) / nWanted);
    const { values, sizes, names: [name] } = await file.rows(row, 1);
    const own = values.slice();
    nValues += own.length;
    numbers.push(own);
    names.push(name);
    points.push({ row, vector: isFree ? means(own, sizes[0].dims.at(-1)) : own });
  }
  return { points, numbers, names };
}

function means(values, channels) {
  const out = new Float64Array(channels);
  for (let i = 0; i < values.length; i++) out[i % channels] += values[i];
  return out.map((sum) => (sum * channels) / values.length);
}

/** Counts of equal steps; of each number where they are few whole ones. */
function histogram(numbers) {
  let low = Infinity, high = -Infinity, isWhole = true, sum = 0, n = 0, zeros = 0;
  for (const values of numbers) {
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value), high = Math.max(high, value);
      isWhole &&= Number.isInteger(value);
      sum += value, n++;
      if (value === 0) zeros++;
    }
  }
  if (!n) return null;
  const step = isWhole ? Math.max(1, Math.ceil((high - low + 1) / MOST_BINS)) : (high - low) / MOST_BINS || 1;
  const bins = new Array(isWhole ? Math.ceil((high - low + 1) / step) : MOST_BINS).fill(0);
  for (const values of numbers) {
    for (const value of values) if (Number.isFinite(value)) bins[Math.min(bins.length - 1, Math.floor((value - low) / step))]++;
  }
  return { low, high, step, bins, mean: sum / n, n, zeros };
}

/** Coordinates of each point along the two directions in which the points differ most, by power iteration. */
function principal(points) {
  const d = points[0].vector.length, n = points.length;
  const mean = new Float64Array(d);
  for (const { vector } of points) for (let i = 0; i < d; i++) mean[i] += vector[i] / n;
  const rows = points.map(({ vector }) => Float64Array.from(vector, (value, i) => value - mean[i]));
  const total = rows.reduce((sum, row) => sum + dot(row, row), 0);
  const axes = [];
  for (let k = 0; k < Math.min(2, d); k++) axes.push(direction(rows, axes, d, k));
  const at = rows.map((row) => axes.map((axis) => dot(row, axis)));
  const share = axes.map((_, k) => (total ? at.reduce((sum, point) => sum + point[k] ** 2, 0) / total : 0));
  return { points: at.map(([x, y = 0]) => [x, y]), share };
}

function direction(rows, before, d, seed) {
  let axis = Float64Array.from({ length: d }, (_, i) => Math.cos(1 + i * (seed + 1)));
  for (let round = 0; round < ROUNDS; round++) {
    const next = new Float64Array(d);
    for (const row of rows) {
      const along = dot(row, axis);
      for (let i = 0; i < d; i++) next[i] += along * row[i];
    }
    for (const other of before) {
      const along = dot(next, other);
      for (let i = 0; i < d; i++) next[i] -= along * other[i];
    }
    const length = Math.sqrt(dot(next, next));
    if (!length) return axis.fill(0);
    axis = next.map((value) => value / length);
  }
  return axis;
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
