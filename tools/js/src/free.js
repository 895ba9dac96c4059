/**
 * Networks of any height and width (spec/model.md, section 3.1): M3-10 to M3-12.
 */

import { AefError } from "./errors.js";
import { product } from "./bytes.js";
import { ACTIVATIONS } from "./layers.js";

const KINDS = ["conv2d", "conv2d_transpose", "upsample", "concat", "affine", "add", "slice", "scale", "lookup", "to_u8", "leaky_relu", ...ACTIVATIONS];
const ROW_ELEMENTS = 2 ** 30;

/**
 * The scale of a network: image pixels for one latent, [S, T].  M3-10.
 * @returns {[number, number]}
 */
export function scaleOf({ layers, role }, fail) {
  const other = layers.find(({ kind }) => !KINDS.includes(kind));
  if (other) fail("M3-10", `${other.kind} in a network of any size`);
  return [0, 1].map((axis) => {
    const [p, q] = factors(layers, axis);
    const [over, under] = role === "decoder" ? [p, q] : [q, p];
    if (over % under) fail("M3-10", "the scale is no whole number");
    const scale = over / under;
    return scale > 2n ** 53n ? Infinity : Number(scale);
  });
}

/** What multiplies and what divides the size on the way back from the output, by first inputs. */
function factors(layers, axis) {
  let p = 1n, q = 1n;
  for (let value = layers.length; value > 0; value = layers[value - 1].inputs[0]) {
    const { kind, strides, factors: grow } = layers[value - 1];
    if (kind === "conv2d_transpose") p *= BigInt(strides[axis]);
    if (kind === "upsample") p *= BigInt(grow[axis]);
    if (kind === "conv2d") q *= BigInt(strides[axis]);
  }
  return [p, q];
}

/** M3-11 of one layer. @param {{shape: number[]}[]} inputs @param {{shape: number[]}[]} tensors */
export function checkProportion(layer, i, [input], tensors, fail) {
  const { kind, strides, padding, crop, axis } = layer;
  const fits = [0, 1].every((a) => {
    const before = 2 * a, k = tensors[layer.weights]?.shape[a], s = strides?.[a];
    if (kind === "conv2d") {
      const edge = padding[before] + padding[before + 1];
      return input.shape[a] % s === 0 && k - s <= edge && edge <= k - 1;
    }
    if (kind === "conv2d_transpose") return crop[before] + crop[before + 1] === k - s;
    return kind !== "concat" || axis === 2;
  });
  if (!fits) fail("M3-11", `layer ${i}: ${kind} does not keep the proportions`);
}

/** Height and width of the latent of an image. @param {number[]} image @param {[number, number]} scale */
export function latentOf(image, scale) {
  return [Math.ceil(image[0] / scale[0]), Math.ceil(image[1] / scale[1])];
}

/**
 * M3-12 of one row.
 * @param {{role: string, input: {shape: number[]}, output: {shape: number[]}, scale: [number, number]}} network
 * @param {number[] | null} latent height and width @param {number[] | null} image height and width @param {number} at
 */
export function checkRowSizes({ role, input, output, scale }, latent, image, at) {
  const fail = (what, code = "value") => {
    throw new AefError("M3-12", code, at, what);
  };
  if ([...(latent ?? []), ...(image ?? [])].some((n) => n < 1)) fail("a row without a pixel");
  const [latentSide, imageSide] = role === "decoder" ? [input, output] : [output, input];
  const h = latent ?? latentOf(image, scale);
  const made = image ?? [h[0] * scale[0], h[1] * scale[1]];
  const fits = !latent || !image || latentOf(image, scale).every((n, i) => n === latent[i]);
  if (!fits) fail(`a latent of ${latent} for an image of ${image}`);
  if (product([...h, latentSide.shape[2]]) > ROW_ELEMENTS || product([...made, imageSide.shape[2]]) > ROW_ELEMENTS) {
    fail("a row of more than 2^30 elements", "limit");
  }
}
