/**
 * Model packages (spec/model.md): a manifest with its tensors, checked in the order of section 1, and what they compute.
 */

import { AefError, usage } from "./errors.js";
import { equal, hex, product, toArray } from "./bytes.js";
import { checkBounds, checkOutputRange } from "./bounds.js";
import { halves } from "./encodings.js";
import { checkProportion, checkRowSizes, latentOf, scaleOf } from "./free.js";
import { checkForms, checkLookup, checkProfile, checkShape, checkType } from "./layers.js";
import { failAt, isFree, isNewer, LARGEST_VALUE, rangeOf, readManifest, TENSOR_TYPES } from "./manifest.js";
import { ARRAYS, Network } from "./network.js";
import { checkNumbers, checkPassBounds, checkPrior, passValues } from "./prior.js";
import { sha256 } from "./sha256.js";
import { goldenMemory, goldenWork, rowWork } from "./work.js";

const BLOCK_ELEMENTS = 2 ** 21; // of the largest value of a block of rows

/** One half of an autoencoder. */
export class Package {
  /**
   * What the manifest shows: M1-2, M2, M3, the shapes of M6-1 and M10.
   * @param {Uint8Array} raw the manifest @param {number} at its byte in the file
   * @param {{model: Uint8Array, flags: number, maxWork?: number}} header
   */
  constructor(raw, at, { model, flags, maxWork = Infinity }) {
    const fail = failAt(at);
    this.at = at;
    this.modelId = sha256(raw);
    if (!equal(this.modelId, model)) fail("M1-2", "the manifest is not the one that the header names");
    this.manifest = readManifest(raw, fail);
    this.tensors = [];
    this.#checkLayers(flags, fail);
    this.work = rowWork(this.manifest, this.values);
    if (this.work > maxWork) fail("M7-1", `a row takes ${this.work} operations`, "limit");
  }

  get role() {
    return this.manifest.role;
  }
  get profile() {
    return this.manifest.profile;
  }
  get input() {
    return this.manifest.input;
  }
  get output() {
    return this.manifest.output;
  }
  /** Has it sizes that each row states for itself? */
  get isFree() {
    return isFree(this.manifest);
  }

  /** Steps 5 to 10 of the order of checks. */
  #checkLayers(flags, fail) {
    const { manifest } = this;
    const { layers, tensors, prior } = manifest;
    checkForms(layers, tensors.length, 1, fail);
    if (prior?.passes) checkForms(prior.passes.layers, tensors.length, 5 * prior.passes.groups.length, fail);
    if (isNewer(manifest) !== Boolean(flags & 4)) fail("M1-7", "flag bit 2 does not go with the manifest");
    this.scale = this.isFree ? scaleOf(manifest, fail) : [1, 1];
    this.values = this.#checkNetwork(fail);
    this.#checkUse(fail);
    this.golden = goldenSizes(manifest, this.scale, fail);
    if (!prior) return;
    checkPrior(manifest, fail);
    if (prior.passes) this.passValues = passValues(manifest, fail);
  }

  /** M3-4 to M3-6, M4-2, M4-3 and M3-11 of one layer after another. */
  #checkNetwork(fail) {
    const { layers, tensors, profile, input } = this.manifest;
    const shape = this.inputShape([1, 1]);
    if (product(shape) > LARGEST_VALUE) fail("M3-5", "an input of more than 2^28 elements", "limit");
    const values = [{ shape, type: input.type }];
    layers.forEach((layer, i) => {
      const inputs = layer.inputs.map((value) => values[value]);
      checkProfile(layer, profile, fail);
      const made = checkShape(layer, i, inputs, tensors, fail);
      values.push({ shape: made, type: checkType(layer, i, inputs, tensors, profile, fail) });
      if (layer.kind === "lookup") checkLookup(layer, i, inputs, tensors, fail);
      if (this.isFree) checkProportion(layer, i, inputs, tensors, fail);
    });
    return values;
  }

  /** M3-7 to M3-9. */
  #checkUse(fail) {
    const { layers, tensors, output, golden, prior } = this.manifest;
    const used = new Set(layers.flatMap(({ inputs }) => inputs));
    const unused = this.values.findIndex((_, i) => i < layers.length && !used.has(i));
    if (unused >= 0) fail("M3-7", `no layer uses value ${unused}`);
    const last = this.values.at(-1);
    const fits = last.shape.length === output.shape.length && output.shape.every((n, i) => n === 0 || n === last.shape[i]);
    if (!fits || last.type !== output.type) fail("M3-8", "the last layer does not make the output");
    const named = [...layers, ...(prior?.passes?.layers ?? []), prior ?? {}].flatMap((map) =>
      ["weights", "bias", "multiplier", "table", "classes", "means", "picks", "tables"].map((key) => map[key]));
    const needed = new Set([...named, ...[golden].flat().flatMap((map) => [map.input, map.output])]);
    const idle = tensors.findIndex((_, i) => !needed.has(i));
    if (idle >= 0) fail("M3-9", `nothing uses tensor ${idle}`);
  }

  /** The shape of one row of the input, for a latent of this height and width where sizes are free. */
  inputShape(latent) {
    const { shape } = this.input;
    if (!this.isFree) return shape;
    const [s, t] = this.role === "encoder" ? this.scale : [1, 1];
    return [latent[0] * s, latent[1] * t, shape[2]];
  }

  /** Shapes of all values for a latent of this size; null where sizes are not free. */
  valuesAt(latent) {
    if (!latent) return this.values;
    const values = [{ shape: this.inputShape(latent) }];
    const { layers, tensors } = this.manifest;
    layers.forEach((layer, i) =>
      values.push({ shape: checkShape(layer, i, layer.inputs.map((value) => values[value]), tensors, () => undefined) }));
    return values;
  }

  /**
   * The next tensor: M1-4 to M1-6.
   * @param {Uint8Array} raw its payload, decompressed
   */
  addTensor(raw, at) {
    const fail = failAt(at);
    const { shape, type, sha256: digest } = this.manifest.tensors[this.tensors.length];
    if (!equal(sha256(raw), digest)) fail("M1-5", "a tensor is not the one that the manifest names");
    const data = type === "f16" ? halves(raw) : toArray(raw, { f32: Float32Array, i8: Int8Array, u8: Uint8Array, i32: Int32Array }[type]);
    if (type[0] === "f" && !data.every(Number.isFinite)) fail("M1-6", "a tensor with a number that is not finite");
    this.tensors.push({ shape, type, data });
  }

  /** Bytes of the next tensor; -1 if there is none. */
  nextBytes() {
    const tensor = this.manifest.tensors[this.tensors.length];
    return tensor ? product(tensor.shape) * TENSOR_TYPES[tensor.type] : -1;
  }

  /** Steps 15 to 17 of the order of checks, when the end of the file has been seen. */
  finish() {
    const fail = failAt(this.at);
    const { manifest, tensors } = this;
    const { layers, input, output, prior } = manifest;
    const isExact = this.profile === "exact";
    const start = [{ interval: rangeOf(input) }];
    const bounds = checkBounds(layers, start, tensors, { isExact, byPhase: isNewer(manifest) }, fail);
    checkOutputRange(bounds.at(-1), output, fail);
    this.#checkGoldenNumbers(fail);
    if (prior) checkNumbers(this, fail);
    this.network = new Network(layers, tensors, bounds, isExact);
    if (prior?.passes) this.passes = new Network(prior.passes.layers, tensors, checkPassBounds(this, fail), true);
  }

  #checkGoldenNumbers(fail) {
    for (const side of ["input", "output"]) {
      const range = rangeOf(this[side]);
      for (const map of [this.manifest.golden].flat()) {
        const bad = range && this.tensors[map[side]].data.some((x) => x < range[0] || x > range[1]);
        if (bad) fail("M6-1", `a number of the golden ${side} is outside its range`);
      }
    }
  }

  /** Units of C13-1 that the golden set takes, and its bytes of memory. */
  goldenCost() {
    return { units: goldenWork(this), memory: goldenMemory(this) };
  }

  /** Run the golden set (M6-2). */
  checkGolden() {
    const maps = [this.manifest.golden].flat();
    let nWrong = 0, n = 0;
    maps.forEach(({ input, output }) => {
      const want = this.tensors[output], given = this.tensors[input];
      const [height, width] = want.shape.slice(1);
      const got = this.#compute(ARRAYS[given.type].from(given.data), given.shape[0], given.shape.slice(1), this.isFree && this.role === "decoder" ? [height, width] : null);
      n += want.data.length;
      nWrong += this.#differing(got, want.data);
    });
    if (nWrong > (this.profile === "exact" ? 0 : 1 + n / 1000)) {
      throw new AefError("M6-2", "golden", 0, `the golden set does not come out: ${nWrong} numbers differ`);
    }
  }

  /** How many numbers differ; more than a grey level or the tolerance of M5-2 counts as too many. */
  #differing(got, want) {
    const most = this.profile === "exact" ? 0 : 1;
    let n = 0;
    for (let i = 0; i < want.length; i++) {
      const off = Math.abs(got[i] - want[i]);
      if (this.output.type === "f32") n += off <= 2 ** -14 * Math.max(1, Math.abs(want[i])) ? 0 : Infinity;
      else if (off > most) n = Infinity;
      else if (off) n++;
    }
    return n;
  }

  /** M4-7 of numbers handed over, or of a file's: `place(i)` is the byte of number i. */
  checkInput(numbers, place) {
    const range = rangeOf(this.input);
    if (!range) return;
    const [lo, hi] = range;
    for (let i = 0; i < numbers.length; i++) {
      if (numbers[i] >= lo && numbers[i] <= hi && Number.isInteger(numbers[i])) continue;
      throw new AefError("M4-7", "value", place(i), `${numbers[i]} is outside the range of the input, ${lo} to ${hi}`);
    }
  }

  /**
   * What the network makes of rows of one shape.
   * @param {ArrayLike<number>} rows flat, C order; of a decoder latents, of an encoder images
   * @param {{size?: number[], latent?: number[]}} sizes with free sizes: height and width of the image and of the latent (one can
   * follow from the other but for a decoder, which takes the latent's from `latent`, or from `size` by the scale)
   * @returns {Uint8Array | Int8Array | Float32Array} flat, C order
   */
  run(rows, { size, latent } = {}) {
    if (!this.network) throw usage("the package is not complete");
    const itemBytes = /** @type {any} */ (rows).BYTES_PER_ELEMENT ?? 1;
    const shape = this.#rowShape(size, latent);
    const count = product(shape);
    if (rows.length % count) throw usage(`${rows.length} numbers are no whole number of rows of ${shape.join(" x ")}`);
    this.checkInput(rows, (i) => i * itemBytes);
    const cut = this.isFree && this.role === "decoder" ? size ?? [shape[0] * this.scale[0], shape[1] * this.scale[1]] : null;
    return this.#inBlocks(rows, count, shape, cut);
  }

  /** The shape of a row, checked by M3-12 where sizes are free. */
  #rowShape(size, latent) {
    if (!this.isFree) return this.input.shape;
    if (!size && (!latent || this.role === "encoder")) throw usage("the height and width of the image must be given: {size: [height, width]}");
    checkRowSizes(this, latent ?? null, size ?? null, 0);
    const [h, w] = this.role === "encoder" ? size : latent ?? latentOf(size, this.scale);
    return [h, w, this.input.shape[2]];
  }

  #inBlocks(rows, count, shape, cut) {
    const Type = this.output.type === "f32" ? Float32Array : ARRAYS[this.output.type];
    const largest = Math.max(...this.valuesAt(this.isFree ? this.#latentFor(shape) : null).map((value) => product(value.shape)));
    const nRows = rows.length / count, nBlock = Math.max(1, Math.floor(BLOCK_ELEMENTS / largest));
    let out = new Type(0), perRow = 0;
    for (let first = 0; first < nRows; first += nBlock) {
      const n = Math.min(nBlock, nRows - first);
      const made = this.#compute(ARRAYS[this.input.type].from(/** @type {any} */ (rows).slice(first * count, (first + n) * count)), n, shape, cut);
      if (!out.length) perRow = made.length / n, (out = new Type(nRows * perRow));
      out.set(made, first * perRow);
    }
    return out;
  }

  /** Height and width of the latent of rows of this shape. */
  #latentFor([h, w]) {
    return this.role === "encoder" ? latentOf([h, w], this.scale) : [h, w];
  }

  #compute(data, n, shape, cut) {
    const input = this.isFree && this.role === "encoder" ? continued(data, n, shape, this.inputShape(this.#latentFor(shape))) : { data, n, shape };
    const made = this.network.run(input);
    return cut ? cutImages(made, cut) : made.data;
  }

  describe() {
    const { role, profile, input, output, layers } = this.manifest;
    return { role, profile, input, output, modelId: hex(this.modelId), nLayers: layers.length, scale: this.scale, work: this.work };
  }
}

/** The shapes of M6-1, and of each map of the golden set the rows and, with free sizes, the size of the latents. */
function goldenSizes(manifest, scale, fail) {
  const { golden, tensors, input, output, role } = manifest;
  const maps = [golden].flat().map((map) => [tensors[map.input], tensors[map.output]]);
  const fits = ({ shape, type }, endpoint) =>
    type === endpoint.type && shape.length === endpoint.shape.length + 1 && endpoint.shape.every((n, i) => n === 0 || n === shape[i + 1]);
  const sizes = new Set();
  let total = 0;
  const found = maps.map(([given, want]) => {
    const n = given.shape[0];
    if (!fits(given, input) || !fits(want, output) || want.shape[0] !== n || n > 64) fail("M6-1", "the golden set has the wrong shape or type");
    total += n;
    if (!isFree(manifest)) return { n, sizes: null };
    const [latent, image] = (role === "decoder" ? [given, want] : [want, given]).map(({ shape }) => shape.slice(1, 3));
    if (String(latentOf(image, scale)) !== String(latent)) fail("M6-1", "latents of the golden set do not go with its images");
    sizes.add(String(image));
    return { n, sizes: latent };
  });
  if (total > 64 || (isFree(manifest) && sizes.size < maps.length)) fail("M6-1", "too many golden rows, or images of one size");
  return found;
}

/** Images continued downwards and to the right by their last row and column. */
function continued(data, n, [h, w, c], shape) {
  const [rows, columns] = shape;
  if (rows === h && columns === w) return { data, n, shape };
  const out = new data.constructor(n * rows * columns * c);
  for (let line = 0, to = 0; line < n * rows; line++) {
    const from = (Math.floor(line / rows) * h + Math.min(line % rows, h - 1)) * w;
    for (let x = 0; x < columns; x++) for (let k = 0; k < c; k++) out[to++] = data[(from + Math.min(x, w - 1)) * c + k];
  }
  return { data: out, n, shape };
}

/** The first H rows and W columns of images. */
function cutImages({ data, n, shape: [rows, columns, c] }, [h, w]) {
  if (rows === h && columns === w) return data;
  const out = new data.constructor(n * h * w * c);
  for (let line = 0; line < n * h; line++) {
    const from = (Math.floor(line / h) * rows + (line % h)) * columns * c;
    out.set(data.subarray(from, from + w * c), line * w * c);
  }
  return out;
}

