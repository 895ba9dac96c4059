/**
 * Runs layers one after another, each as soon as somebody wants its value.
 */

import { checkShape, LINEAR } from "./layers.js";
import { affine, conv2d, conv2dTranspose, dense } from "./linear.js";
import { add, lookup, plainStep } from "./steps.js";

const LINEAR_STEPS = { dense, conv2d, conv2d_transpose: conv2dTranspose, affine };
export const ARRAYS = { u8: Uint8Array, i8: Int8Array, f32: Float64Array };

/** What computes a layer. @param {number} bound of its sums; null where it makes none @param {number} boundOfInput of what it takes */
function stepOf(layer, tensors, { bound }, { bound: boundOfInput }, isExact) {
  const { kind } = layer;
  if (LINEAR.includes(kind)) {
    const Out = isExact ? Int32Array : Float64Array;
    return LINEAR_STEPS[kind](layer, tensors[layer.weights], tensors[layer.bias], isExact ? bound : Infinity, Out);
  }
  if (kind === "lookup") return lookup(layer, tensors[layer.multiplier], tensors[layer.table], boundOfInput);
  return kind === "add" ? add(isExact) : plainStep(layer);
}

/** Layers with their weights in the order in which they are used. */
export class Network {
  /**
   * @param {any[]} layers @param {any[]} tensors
   * @param {{bound?: number | null}[]} values those in front of the layers', then the layers'
   * @param {boolean} isExact
   */
  constructor(layers, tensors, values, isExact) {
    Object.assign(this, { layers, tensors, values, isExact });
    this.nBefore = values.length - layers.length;
    this.steps = new Array(layers.length);
    this.lastUse = new Array(values.length).fill(-1);
    layers.forEach(({ inputs }, i) => inputs.forEach((value) => (this.lastUse[value] = i)));
  }

  /** The value of layer i from those of its inputs. */
  compute(i, inputs) {
    const layer = this.layers[i];
    this.steps[i] ??= stepOf(layer, this.tensors, this.values[this.nBefore + i], this.values[layer.inputs[0]], this.isExact);
    return this.steps[i](inputs, shapeAt(layer, i, inputs, this.tensors));
  }

  /** The last value of rows of one shape. @param {{data: any, n: number, shape: number[]}} input */
  run(input) {
    const values = [input];
    this.layers.forEach((layer, i) => {
      values.push(this.compute(i, layer.inputs.map((value) => values[value])));
      layer.inputs.forEach((value) => this.lastUse[value] === i && (values[value] = null));
    });
    return values.at(-1);
  }
}

/** Sizes that M3-5 has let through for one row fit for all; a grid without a row or a column makes none. */
function shapeAt(layer, i, inputs, tensors) {
  return checkShape(layer, i, inputs, tensors, () => undefined) ?? inputs[0].shape;
}
