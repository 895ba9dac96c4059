/**
 * Intervals and bounds of the exact profile (spec/model.md, section 4): M4-1, M4-2, M4-4 to M4-6 and M10-11.
 */

import { LINEAR } from "./layers.js";
import { rangeOf } from "./manifest.js";

const SUM = 2 ** 31;
const PRODUCT = 2n ** 53n;

const magnitude = ([lo, hi]) => Math.max(Math.abs(lo), Math.abs(hi));

/** The smallest and largest number of a list. */
export function extremes(numbers) {
  let lo = Infinity, hi = -Infinity;
  for (const n of numbers) {
    if (n < lo) lo = n;
    if (n > hi) hi = n;
  }
  return [lo, hi];
}

/**
 * Sum of |w| for each output channel; of a transposed convolution by phase the largest over the phases.
 * @param {any} layer @param {{shape: number[], data: ArrayLike<number>}} weights @param {boolean} byPhase
 */
export function absoluteSums(layer, { shape, data }, byPhase) {
  const isTransposed = layer.kind === "conv2d_transpose";
  const nChannels = layer.kind === "affine" ? shape[0] : shape[isTransposed ? 2 : shape.length - 1];
  if (!isTransposed) {
    const sums = new Float64Array(nChannels);
    for (let i = 0; i < data.length; i++) sums[i % nChannels] += Math.abs(data[i]);
    return sums;
  }
  const [kh, kw, , nIn] = shape, [sh, sw] = byPhase ? layer.strides : [1, 1];
  const phases = new Float64Array(sh * sw * nChannels);
  for (let y = 0, at = 0; y < kh; y++) for (let x = 0; x < kw; x++) for (let d = 0; d < nChannels; d++) {
    const phase = ((y % sh) * sw + (x % sw)) * nChannels + d;
    for (let c = 0; c < nIn; c++) phases[phase] += Math.abs(data[at++]);
  }
  return Float64Array.from({ length: nChannels }, (_, d) => extremes(phases.filter((_, i) => i % nChannels === d))[1]);
}

/** The bound of a layer with weights. */
export function linearBound(layer, weights, bias, interval, byPhase) {
  const most = magnitude(interval);
  return extremes(absoluteSums(layer, weights, byPhase).map((sum, j) => sum * most + Math.abs(bias.data[j])))[1];
}

/** The interval of a value, where it has one. */
function intervalOf(layer, inputs, tensors) {
  const { kind } = layer;
  if (kind === "lookup") return extremes(tensors[layer.table].data);
  if (kind === "to_u8") return [0, 255];
  const known = inputs.map(({ interval }) => interval);
  if (known.some((interval) => !interval)) return null;
  if (kind === "concat") return [Math.min(...known.map(([lo]) => lo)), Math.max(...known.map(([, hi]) => hi))];
  if (kind === "pad") return [Math.min(known[0][0], layer.value), Math.max(known[0][1], layer.value)];
  return ["upsample", "slice", "max_pool", "crop", "reshape", "flatten"].includes(kind) ? known[0] : null;
}

/** Bound of the sums that a layer makes; null for other layers. */
function boundOf(layer, inputs, tensors, byPhase) {
  if (LINEAR.includes(layer.kind)) {
    return linearBound(layer, tensors[layer.weights], tensors[layer.bias], inputs[0].interval, byPhase);
  }
  if (layer.kind !== "add") return null;
  return inputs.reduce((sum, { bound, interval }) => sum + (bound ?? magnitude(interval)), 0);
}

/**
 * Interval and bound of every value: M4-1, M4-2, M4-4 and M4-5 of one layer after another.
 * @param {any[]} layers @param {{type: string, interval?: number[] | null}[]} values those in front of the layers'
 * @param {{shape: number[], type: string, data: ArrayLike<number>}[]} tensors @param {{isExact: boolean, byPhase: boolean}} how
 */
export function checkBounds(layers, values, tensors, { isExact, byPhase }, fail) {
  const all = [...values];
  layers.forEach((layer, i) => {
    const inputs = layer.inputs.map((value) => all[value]);
    const bound = isExact ? boundOf(layer, inputs, tensors, byPhase) : null;
    if (bound !== null && bound >= SUM) fail("M4-1", `layer ${i}: a sum can reach ${bound}`);
    if (isExact && layer.kind === "lookup") checkProduct(layer, i, inputs[0].bound, tensors, fail);
    if (bound !== null && layer.kind !== "affine" && layer.kind !== "add" && tensors[layer.weights].data.includes(-128)) {
      fail("M4-5", `layer ${i}: a weight of -128`);
    }
    all.push({ bound, interval: bound === null ? intervalOf(layer, inputs, tensors) : null });
  });
  return all;
}

function checkProduct({ multiplier, shift }, i, bound, tensors, fail) {
  const [least, most] = extremes(tensors[multiplier].data);
  if (least < 1 || most > 2 ** 24) fail("M4-2", `layer ${i}: a multiplier that is not 1 to 2^24`);
  const half = shift > 0 ? 2n ** BigInt(shift - 1) : 0n;
  if (BigInt(bound) * BigInt(most) + half >= PRODUCT) fail("M4-4", `layer ${i}: a product can reach 2^53`);
}

/** M4-6. */
export function checkOutputRange(value, output, fail) {
  const range = rangeOf(output);
  const { interval } = value;
  if (interval && range && (interval[0] < range[0] || interval[1] > range[1])) {
    fail("M4-6", `the output can be ${interval}, beyond its range`);
  }
}
