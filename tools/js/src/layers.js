/**
 * Layers (spec/model.md, section 3): their form (M3-1 to M3-3), their shapes (M3-5) and their types (M3-6).
 */

import { product } from "./bytes.js";
import { isMap } from "./msgpack.js";
import { isInteger, isList, LARGEST_VALUE, RANGES } from "./manifest.js";

const pair = (lo, hi) => (value) => isList(value, 2, 2, (n) => isInteger(n, lo, hi));
const border = (value) => isList(value, 4, 4, (n) => isInteger(n, 0, 64));
const tensor = (value, nTensors) => isInteger(value, 0, nTensors - 1);

/** Key of a layer -> does its value have the form of the table? */
const FORM = {
  weights: tensor,
  bias: tensor,
  multiplier: tensor,
  table: tensor,
  strides: pair(1, 16),
  factors: pair(1, 16),
  size: pair(1, 1024),
  padding: border,
  crop: border,
  shape: (value) => isList(value, 1, 8, (n) => isInteger(n, 1, 2 ** 28)),
  num: (value) => isInteger(value, -65536, 65536) && value !== 0,
  den: (value) => isInteger(value, 1, 65536),
  shift: (value) => isInteger(value, 0, 40),
  axis: (value) => isInteger(value, 0, 7),
  value: (value) => isInteger(value, -128, 255),
  start: (value) => isInteger(value, 0, 2 ** 28),
  stop: (value) => isInteger(value, 1, 2 ** 28),
};

export const ACTIVATIONS = ["relu", "sigmoid", "tanh", "elu", "gelu", "silu", "softplus"];

/** Kind -> its keys. */
export const KINDS = {
  dense: ["weights", "bias"],
  conv2d: ["weights", "bias", "strides", "padding"],
  conv2d_transpose: ["weights", "bias", "strides", "crop"],
  affine: ["weights", "bias"],
  add: [],
  concat: ["axis"],
  upsample: ["factors"],
  max_pool: ["size", "strides", "padding"],
  average_pool: ["size", "strides", "padding"],
  slice: ["start", "stop"],
  pad: ["padding", "value"],
  crop: ["crop"],
  reshape: ["shape"],
  flatten: [],
  scale: ["num", "den"],
  ...Object.fromEntries(ACTIVATIONS.map((kind) => [kind, []])),
  leaky_relu: ["num", "den"],
  to_u8: [],
  lookup: ["multiplier", "shift", "table"],
};

export const LINEAR = ["dense", "conv2d", "conv2d_transpose", "affine"];
const FLOAT_ONLY = ["scale", "to_u8", "average_pool", "leaky_relu", ...ACTIVATIONS];

/** M3-1 to M3-3 of one layer after another. @param {any[]} layers @param {number} nBefore values in front of those of layers */
export function checkForms(layers, nTensors, nBefore, fail) {
  layers.forEach((layer, i) => {
    if (!isMap(layer) || typeof layer.kind !== "string" || !Object.hasOwn(KINDS, layer.kind)) {
      fail("M3-1", `layer ${i} is of kind ${isMap(layer) ? layer.kind : "none"}, which is not known`);
    }
    const keys = KINDS[layer.kind];
    const hasKeys = Object.keys(layer).length === keys.length + 2 && "inputs" in layer && keys.every((key) => key in layer);
    if (!hasKeys || !keys.every((key) => FORM[key](layer[key], nTensors))) fail("M3-2", `layer ${i}: ${layer.kind} does not have its keys`);
    const many = layer.kind === "add" || layer.kind === "concat";
    const isValue = (value) => isInteger(value, 0, nBefore + i - 1);
    if (!isList(layer.inputs, many ? 2 : 1, many ? 64 : 1, isValue)) fail("M3-3", `layer ${i}: inputs that ${layer.kind} cannot have`);
  });
}

/** M3-4: a kind that the profile has not. */
export function checkProfile({ kind }, profile, fail) {
  if (profile === "exact" ? FLOAT_ONLY.includes(kind) : kind === "lookup") fail("M3-4", `${kind} with profile "${profile}"`);
}

const same = (a, b) => a.length === b.length && a.every((n, i) => n === b[i]);
const steps = (n, before, behind, window, stride) => Math.floor((n + before + behind - window) / stride) + 1;

/** Height and width under a window that moves. */
function windows([h, w], [top, bottom, left, right], [kh, kw], [sh, sw]) {
  return [steps(h, top, bottom, kh, sh), steps(w, left, right, kw, sw)];
}

/** Kind -> shape of what it makes, from the shapes of inputs and tensors; null where they do not fit. */
const SHAPES = {
  dense: (_, [x], [w, b]) => (x.length === 1 && w.length === 2 && w[0] === x[0] && same(b, [w[1]]) ? [w[1]] : null),
  conv2d: ({ padding, strides }, [x], [w, b]) => {
    if (x.length !== 3 || w.length !== 4 || w[2] !== x[2] || !same(b, [w[3]])) return null;
    return [...windows(x, padding, w, strides), w[3]];
  },
  conv2d_transpose: ({ crop: [top, bottom, left, right], strides: [sh, sw] }, [x], [w, b]) => {
    if (x.length !== 3 || w.length !== 4 || w[3] !== x[2] || !same(b, [w[2]])) return null;
    return [(x[0] - 1) * sh + w[0] - top - bottom, (x[1] - 1) * sw + w[1] - left - right, w[2]];
  },
  affine: (_, [x], [w, b]) => (same(w, [x.at(-1)]) && same(b, w) ? x : null),
  add: (_, shapes) => (shapes.every((shape) => same(shape, shapes[0])) ? shapes[0] : null),
  concat: ({ axis }, shapes) => {
    const [x] = shapes;
    const fits = axis < x.length && shapes.every((shape) => shape.length === x.length && shape.every((n, i) => i === axis || n === x[i]));
    return fits ? x.map((n, i) => (i === axis ? shapes.reduce((sum, shape) => sum + shape[axis], 0) : n)) : null;
  },
  upsample: ({ factors: [fh, fw] }, [x]) => (x.length === 3 ? [x[0] * fh, x[1] * fw, x[2]] : null),
  max_pool: pool,
  average_pool: pool,
  slice: ({ start, stop }, [x]) => (start < stop && stop <= x.at(-1) ? [...x.slice(0, -1), stop - start] : null),
  pad: ({ padding: [top, bottom, left, right] }, [x]) => (x.length === 3 ? [x[0] + top + bottom, x[1] + left + right, x[2]] : null),
  crop: ({ crop: [top, bottom, left, right] }, [x]) => (x.length === 3 ? [x[0] - top - bottom, x[1] - left - right, x[2]] : null),
  reshape: ({ shape }, [x]) => (product(shape) === product(x) ? shape : null),
  flatten: (_, [x]) => [product(x)],
};

function pool({ padding, size, strides }, [x]) {
  const fits = x.length === 3 && padding[0] < size[0] && padding[1] < size[0] && padding[2] < size[1] && padding[3] < size[1];
  return fits ? [...windows(x, padding, size, strides), x[2]] : null;
}

/** M3-5 of one layer. @returns {number[]} shape of its value */
export function checkShape(layer, i, inputs, tensors, fail) {
  const make = SHAPES[layer.kind] ?? ((_, [x]) => x);
  const shapes = LINEAR.includes(layer.kind) ? [tensors[layer.weights].shape, tensors[layer.bias].shape] : [];
  const shape = make(layer, inputs.map((value) => value.shape), shapes);
  if (!shape || shape.some((n) => n < 1)) fail("M3-5", `layer ${i}: the shapes of ${layer.kind} do not fit`);
  if (product(shape) > LARGEST_VALUE) fail("M3-5", `layer ${i} makes more than 2^28 elements`, "limit");
  return shape;
}

/** M3-6 of one layer. @returns {string} type of its value */
export function checkType(layer, i, inputs, tensors, profile, fail) {
  const types = inputs.map(({ type }) => type);
  const type = typeOf(layer, types, tensors, profile);
  if (!type) fail("M3-6", `layer ${i}: the types of ${layer.kind} do not fit`);
  return type;
}

const isFloat = (type) => type === "f32" || type === "f16";
const isSmall = (type) => type === "u8" || type === "i8";

function typeOf(layer, types, tensors, profile) {
  const [first] = types;
  const { kind } = layer;
  if (LINEAR.includes(kind)) return linearType(layer, first, tensors, profile);
  if (kind === "add") {
    if (profile === "float32") return types.every((type) => type === "f32") ? "f32" : null;
    return types.every((type) => isSmall(type) || type === "acc") ? "acc" : null;
  }
  if (kind === "lookup") return first === "acc" ? tensors[layer.table].type : null;
  if (types.includes("acc")) return null;
  if (kind === "concat") return types.every((type) => type === first) ? first : null;
  if (kind === "scale") return isSmall(first) ? "f32" : null;
  if (kind === "to_u8") return first === "f32" ? "u8" : null;
  if (kind === "pad") return first === "f32" || (layer.value >= RANGES[first][0] && layer.value <= RANGES[first][1]) ? first : null;
  return FLOAT_ONLY.includes(kind) && first !== "f32" ? null : first;
}

function linearType({ kind, weights, bias }, type, tensors, profile) {
  const w = tensors[weights].type, b = tensors[bias].type;
  if (profile === "float32") return type === "f32" && isFloat(w) && isFloat(b) ? "f32" : null;
  return isSmall(type) && w === (kind === "affine" ? "i32" : "i8") && b === "i32" ? "acc" : null;
}

/** M4-2 and M4-3, as far as they speak of shapes and types. */
export function checkLookup(layer, i, [{ shape }], tensors, fail) {
  const multiplier = tensors[layer.multiplier], table = tensors[layer.table];
  const one = multiplier.shape.length === 1 && [1, shape.at(-1)].includes(multiplier.shape[0]);
  if (multiplier.type !== "i32" || !one) fail("M4-2", `layer ${i}: a multiplier of the wrong shape or type`);
  const [n] = table.shape;
  const fits = isSmall(table.type) && table.shape.length === 1 && n % 2 === 0 && n >= 2 && n <= 65536;
  if (!fits) fail("M4-3", `layer ${i}: a table of the wrong shape or type`);
}
