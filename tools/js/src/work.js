/**
 * What things cost: M7-1 of spec/model.md, and C13-1 of spec/container.md, section 13.
 */

import { AefError } from "./errors.js";
import { product } from "./bytes.js";

const POOLS = ["max_pool", "average_pool"];

/** Units that a file may take, beside those for its bytes. */
export const LIMITS = { work: 2 ** 30, workAByte: 2 ** 14, memory: 2 ** 28, memoryAByte: 8, proofs: 2 ** 30, proofsAByte: 2 ** 16 };

/** Multiply-adds of one layer as M7-1 counts them. */
export function multiplyAdds(layer, inputs, shape, tensors) {
  const { kind } = layer;
  const weights = kind === "dense" || kind.startsWith("conv2d") ? product(tensors[layer.weights].shape) : 0;
  if (kind === "dense") return weights;
  if (kind === "conv2d") return weights * shape[0] * shape[1];
  if (kind === "conv2d_transpose") return weights * inputs[0].shape[0] * inputs[0].shape[1];
  if (kind === "affine") return product(shape);
  if (POOLS.includes(kind)) return product(shape) * product(layer.size);
  return kind === "add" ? product(shape) * inputs.length : 0;
}

/** The same as C13-1 counts them: transposed convolutions by whole blocks, pools along the columns first. */
function provenMultiplyAdds(layer, inputs, shape, tensors) {
  if (POOLS.includes(layer.kind)) {
    return 5 * (product(shape) * product(layer.size) + layer.size[0] * shape[0] * inputs[0].shape[1] * shape[2]);
  }
  if (layer.kind !== "conv2d_transpose") return multiplyAdds(layer, inputs, shape, tensors);
  const [kh, kw, d, c] = tensors[layer.weights].shape, [sh, sw] = layer.strides, [h, w] = inputs[0].shape;
  const a = Math.ceil(kh / sh), b = Math.ceil(kw / sw);
  return (h + a - 1) * (w + b - 1) * a * sh * b * sw * d * c;
}

/** What one row takes: multiply-adds and the elements of all values but the input (M7-1). @param {{shape: number[]}[]} values */
export function rowWork({ layers, tensors }, values) {
  return layers.reduce((sum, layer, i) => {
    const { shape } = values[i + 1];
    return sum + product(shape) + multiplyAdds(layer, layer.inputs.map((value) => values[value]), shape, tensors);
  }, 0);
}

/** Units of one row of a golden set, whose values have these shapes. */
function goldenRow({ manifest: { layers, tensors, profile } }, values) {
  const [each, element] = profile === "exact" ? [1, 8] : [16, 32];
  return layers.reduce((sum, layer, i) => {
    const { shape } = values[i + 1];
    const isPool = POOLS.includes(layer.kind);
    const adds = provenMultiplyAdds(layer, layer.inputs.map((value) => values[value]), shape, tensors);
    return sum + 10000 + adds * (isPool ? 1 : each) + product(shape) * element + (isPool ? 4096 * (layer.size[0] + layer.size[1]) : 0);
  }, 0);
}

/** Units of the proofs of a package: a channel of each layer that makes sums, and of each lookup. */
function proofs(pkg) {
  const passes = pkg.manifest.prior?.passes;
  const all = [...pairs(pkg.manifest.layers, pkg.values, 1), ...pairs(passes?.layers ?? [], pkg.passValues ?? [], 5 * (passes?.groups.length ?? 0))];
  return all.reduce((sum, [layer, { type, shape }]) => sum + (type === "acc" || layer.kind === "lookup" ? 2048 * shape.at(-1) : 0), 0);
}

const pairs = (layers, values, nBefore) => layers.map((layer, i) => [layer, values[nBefore + i]]);

/** Units of the golden set and the proofs of a package. */
export function goldenWork(pkg) {
  return pkg.golden.reduce((sum, { n, sizes }) => sum + n * goldenRow(pkg, pkg.valuesAt(sizes)), proofs(pkg));
}

/** Bytes of memory that a golden set takes at most: one row with its elements, padded inputs and weights as doubles. */
export function goldenMemory(pkg) {
  const { layers, tensors } = pkg.manifest;
  const weights = tensors.reduce((sum, { shape }) => sum + 8 * product(shape), 0);
  return Math.max(...pkg.golden.map(({ sizes }) => {
    const values = pkg.valuesAt(sizes);
    return layers.reduce((sum, layer, i) => sum + 4 * product(values[i + 1].shape) + edges(layer, values), weights);
  }));
}

/** Bytes of the input of a convolution with its padding. */
function edges(layer, values) {
  if (!layer.padding && !layer.crop) return 0;
  const [h, w, c] = values[layer.inputs[0]].shape;
  const [top, bottom, left, right] = layer.padding ?? [16, 16, 16, 16];
  return (h + top + bottom) * (w + left + right) * c;
}

/** Units of one row, beside those of a run, of proving receipts. */
export function proofRow(pkg, sizes) {
  return goldenRow(pkg, pkg.valuesAt(sizes)) - 10000 * pkg.manifest.layers.length;
}

/** Counts the work of a file as it comes, and refuses it before it is done. */
export class Work {
  /** @param {boolean} isLimited */
  constructor(isLimited) {
    this.isLimited = isLimited;
    this.units = 0;
  }

  /** @param {number} units @param {number} nBytes of the file so far @param {number} at */
  add(units, nBytes, at) {
    this.units += units;
    if (this.isLimited && this.units > LIMITS.work + LIMITS.workAByte * nBytes) {
      throw new AefError("C13-1", "limit", at, "the file takes too much work");
    }
  }

  /** @param {number} memory bytes @param {number} nBytes @param {number} at */
  checkMemory(memory, nBytes, at) {
    if (this.isLimited && memory > LIMITS.memory + LIMITS.memoryAByte * nBytes) {
      throw new AefError("C13-1", "limit", at, "the package takes too much memory");
    }
  }
}

