/**
 * The prior of a decoder (spec/model.md, section 10): M10-1 to M10-11.
 */

import { product } from "./bytes.js";
import { checkBounds } from "./bounds.js";
import { checkLookup, checkShape, checkType } from "./layers.js";
import { isFree, rangeOf } from "./manifest.js";

const FULL = -1;
/** Row and column of each phase in a square of 2 x 2. */
export const PHASES = [[0, 0], [1, 1], [0, 1], [1, 0]];
const KINDS = ["conv2d", "affine", "add", "slice", "lookup", "concat"];

const same = (a, b) => a.length === b.length && a.every((n, i) => n === b[i]);

/** Symbols of the decoder's input. */
export function nSymbols(input) {
  const [lo, hi] = rangeOf(input);
  return hi - lo + 1;
}

/** What the manifest says of the prior: M10-6, M10-1, M10-2, then M10-7 to M10-10. */
export function checkPrior(manifest, fail) {
  const { input, prior, tensors } = manifest;
  if (Boolean(prior.passes) !== isFree(manifest)) fail("M10-6", "passes and free sizes go together");
  if (input.type === "f32") fail("M10-1", "a prior of floats");
  const tables = tensors[prior.tables];
  const n = nSymbols(input) + (prior.passes ? 1 : 0);
  const fits = tables.type === "i32" && tables.shape.length === 2 && tables.shape[0] <= 256 && tables.shape[1] === n;
  if (!fits || (!prior.passes && !fitsMeans(manifest))) fail("M10-2", "tensors of the prior with the wrong shape or type");
  if (prior.passes) checkPasses(manifest, fail);
}

function fitsMeans({ input, prior, tensors }) {
  const classes = tensors[prior.classes];
  const [nClasses] = classes.shape;
  const isMeans = ({ type, shape }) => type === "u8" && same(shape, [nClasses, ...input.shape]);
  return (
    classes.type === "i32" && classes.shape.length === 1 && nClasses <= 4096 &&
    isMeans(tensors[prior.means]) && isMeans(tensors[prior.picks])
  );
}

/** M10-7 to M10-10, and M3-5, M3-6, M4-2, M4-3 of the layers. */
function checkPasses(manifest, fail) {
  const { input, prior: { passes } } = manifest;
  const { groups, layers, outputs } = passes;
  const nValues = 5 * groups.length + layers.length;
  const counts = groups.reduce((sum, n) => sum + n, 0) === input.shape[2] && outputs.length === 4 * groups.length;
  if (!counts || outputs.flat().some((value) => value >= nValues)) fail("M10-7", "groups or outputs of the passes do not fit");
  const other = layers.find(({ kind }) => !KINDS.includes(kind));
  if (other) fail("M10-8", `${other.kind} in passes`);
  const values = passValues(manifest, fail);
  checkOrder(passes, values, fail);
  outputs.forEach(([mean, pick], i) => {
    const fits = [mean, pick].every((value) => values[value].grid === i % 4 && values[value].shape[2] === groups[Math.floor(i / 4)]);
    if (!fits || !["u8", "i8"].includes(values[mean].type) || values[pick].type !== "u8") fail("M10-10", `mean or pick of pass ${i}`);
  });
}

/**
 * Shape for a latent of 2 x 2, type, grid, and the number of passes after which it is known, of each value.
 * @returns {{shape: number[], type: string, grid: number, ready: number}[]}
 */
export function passValues({ input, tensors, prior: { passes } }, fail) {
  const values = passes.groups.flatMap((n, g) =>
    [0, 1, 2, 3, 4].map((k) => ({ shape: [2, 2, n], type: input.type, grid: FULL, ready: k ? 4 * g + k : 0 })));
  passes.layers.forEach((layer, i) => {
    const inputs = layer.inputs.map((value) => values[value]);
    const shape = checkShape(layer, i, inputs, tensors, fail);
    const type = checkType(layer, i, inputs, tensors, "exact", fail);
    if (layer.kind === "lookup") checkLookup(layer, i, inputs, tensors, fail);
    const grid = gridOf(layer, inputs, tensors);
    if (grid === null) fail("M10-8", `layer ${i} of the passes does not go with the grids`);
    values.push({ shape, type, grid, ready: Math.max(...inputs.map(({ ready }) => ready)) });
  });
  return values;
}

/** The grid of what a layer makes: -1 for the full one, else the phase; null where the layer goes with none. */
function gridOf(layer, inputs, tensors) {
  const { grid } = inputs[0];
  if (layer.kind === "concat" && layer.axis !== 2) return null;
  if (layer.kind !== "conv2d") return inputs.every((input) => input.grid === grid) ? grid : null;
  const [kh, kw] = tensors[layer.weights].shape, { padding: [top, bottom, left, right], strides } = layer;
  if (kh % 2 === 0 || kw % 2 === 0) return null;
  const y = (kh - 1) / 2 - top, x = (kw - 1) / 2 - left;
  if (bottom !== (kh - 1) / 2 || right !== (kw - 1) / 2) return null;
  if (same(strides, [1, 1])) return y === 0 && x === 0 ? grid : null;
  if (!same(strides, [2, 2]) || grid !== FULL || kh < 3 || kw < 3) return null;
  const phase = PHASES.findIndex(([row, column]) => row === y && column === x);
  return phase < 0 ? null : phase;
}

/** M10-9. */
function checkOrder({ groups, layers, outputs }, values, fail) {
  const early = outputs.findIndex((pair, i) => pair.some((value) => values[value].ready > i));
  if (early >= 0) fail("M10-9", `pass ${early} depends on what it decodes, or on a later pass`);
  const used = new Set([...layers.flatMap(({ inputs }) => inputs), ...outputs.flat()]);
  const unused = layers.findIndex((_, i) => !used.has(5 * groups.length + i));
  if (unused >= 0) fail("M10-9", `nothing uses what layer ${unused} of the passes makes`);
}

/** The numbers of the prior: M10-3 to M10-5. */
export function checkNumbers({ manifest: { input, prior }, tensors }, fail) {
  const total = 2 ** prior.bits, tables = tensors[prior.tables];
  const sum = (row) => row.reduce((all, f) => all + f, 0);
  const rows = Array.from({ length: tables.shape[0] }, (_, i) => tables.data.subarray(i * tables.shape[1], (i + 1) * tables.shape[1]));
  if (!prior.passes) {
    const classes = tensors[prior.classes].data;
    if (classes.some((f) => f < 1) || sum(classes) !== total) fail("M10-3", "frequencies of classes");
  }
  const least = prior.passes ? 0 : 1;
  const escapes = (row) => (row.subarray(0, -1).includes(0) ? row.at(-1) >= 1 : row.at(-1) === 0);
  const fits = rows.every((row) => row.every((f) => f >= least) && sum(row) === total && (!prior.passes || escapes(row)));
  if (!fits) fail("M10-4", "frequencies of a table");
  if (prior.passes) return;
  const n = nSymbols(input);
  if (tensors[prior.means].data.some((m) => m >= n) || tensors[prior.picks].data.some((p) => p >= tables.shape[0])) {
    fail("M10-5", "a mean or a pick that is too large");
  }
}

/** Intervals of the passes' layers: M4-1 to M4-5, then M10-11. */
export function checkPassBounds({ manifest, tensors }, fail) {
  const { input, prior: { passes, tables } } = manifest;
  const [lo, hi] = rangeOf(input);
  const start = passes.groups.flatMap(() => Array.from({ length: 5 }, () => ({ interval: [Math.min(lo, 0), Math.max(hi, 0)] })));
  const values = checkBounds(passes.layers, start, tensors, { isExact: true, byPhase: true }, fail);
  const most = tensors[tables].shape[0] - 1;
  if (passes.outputs.some(([, pick]) => values[pick].interval[1] > most)) fail("M10-11", "a pick that can be too large");
  return values;
}

/** Multiply-adds and elements of all layers of the passes for a latent of h x w (container.md, section 6.1). */
export function passWork({ manifest }, values, h, w) {
  const { prior: { passes }, tensors } = manifest;
  let multiplyAdds = 0, elements = 0;
  passes.layers.forEach((layer, i) => {
    const { grid, shape } = values[5 * passes.groups.length + i];
    const [rows, columns] = gridSize(grid, h, w);
    const made = rows * columns * shape[2];
    elements += made;
    if (layer.kind === "conv2d") multiplyAdds += product(tensors[layer.weights].shape) * rows * columns;
    if (layer.kind === "affine") multiplyAdds += made;
    if (layer.kind === "add") multiplyAdds += made * layer.inputs.length;
  });
  return { multiplyAdds, elements };
}

/** Rows and columns of a grid. @param {number} grid -1 for the full one, else the phase */
export function gridSize(grid, h, w) {
  if (grid === FULL) return [h, w];
  const [y, x] = PHASES[grid];
  return [Math.ceil((h - y) / 2), Math.ceil((w - x) / 2)];
}
