/**
 * The manifest (spec/model.md, section 2): M2-1 to M2-8.  Layers are left to layers.js.
 */

import { AefError } from "./errors.js";
import { product } from "./bytes.js";
import { decodeMap, isMap, NotCanonical } from "./msgpack.js";

const DEPTH = 6;
const TENSOR_BYTES = 268435456;
export const LARGEST_VALUE = 2 ** 28;
/** Bytes of one number of a tensor. */
export const TENSOR_TYPES = { f32: 4, f16: 2, i8: 1, u8: 1, i32: 4 };
/** Least and largest number of an integer type. */
export const RANGES = { u8: [0, 255], i8: [-128, 127] };
const REQUIRED = ["golden", "input", "layers", "output", "profile", "role", "tensors"];

export const isInteger = (value, lo, hi = Number.MAX_SAFE_INTEGER) => Number.isInteger(value) && value >= lo && value <= hi;
export const isList = (value, lo, hi, fits) => Array.isArray(value) && value.length >= lo && value.length <= hi && value.every(fits);
const hasKeys = (map, required, optional = []) =>
  isMap(map) && required.every((key) => key in map) && Object.keys(map).every((key) => required.includes(key) || optional.includes(key));

/** Makes the `fail` of a manifest whose first byte is `at`. */
export function failAt(at) {
  return (rule, what, code = "manifest") => {
    throw new AefError(rule, code, at, what);
  };
}

/**
 * The manifest's map: M2-1 to M2-8.
 * @param {Uint8Array} raw @param {ReturnType<typeof failAt>} fail
 */
export function readManifest(raw, fail) {
  const manifest = parse(raw, fail);
  if (!hasForm(manifest)) fail("M2-2", "a key of the manifest is missing, unknown, or has a value of the wrong type");
  if (manifest.layers.length > 1024 || manifest.tensors.length > 4096 || manifest.prior?.passes?.layers.length > 1024) {
    fail("M2-2", "too many layers or tensors", "limit");
  }
  const isEncoder = manifest.role === "encoder";
  if (isEncoder !== "decoder" in manifest) fail("M2-3", `"decoder" does not go with role "${manifest.role}"`);
  if (isEncoder && "prior" in manifest) fail("M2-3", 'an encoder with a "prior"');
  const image = isEncoder ? manifest.input : manifest.output;
  if (image.type !== "u8" || image.shape.length !== 3) fail("M2-4", "the image side is not [height, width, channels] of u8");
  if (!isRange(manifest.input) || !isRange(manifest.output)) fail("M2-5", "a range that cannot be");
  const large = manifest.tensors.find(({ shape, type }) => product(shape) * TENSOR_TYPES[type] > TENSOR_BYTES);
  if (large) fail("M2-6", "a tensor of more than 256 MiB", "limit");
  if (manifest.profile === "exact" && [manifest.input, manifest.output].some(({ type }) => type === "f32")) {
    fail("M2-7", 'profile "exact" with an endpoint of f32');
  }
  if (isFree(manifest) && !keepsFreeForm(manifest)) fail("M2-8", "free sizes that cannot be");
  return manifest;
}

function parse(raw, fail) {
  try {
    return decodeMap(raw, DEPTH);
  } catch (error) {
    if (error instanceof NotCanonical) fail("M2-1", error.message);
    throw error;
  }
}

/** Has a network sizes that each row states for itself? (section 3.1) */
export function isFree({ input, output }) {
  return input.shape.includes(0) || output.shape.includes(0);
}

function keepsFreeForm({ input, output }) {
  return [input, output].every(({ shape }) => shape.length === 3 && !shape[0] && !shape[1] && shape[2]);
}

/** Is the manifest one of version 1.1? (section 12) */
export function isNewer(manifest) {
  return isFree(manifest) || manifest.layers.some(({ kind }) => kind === "slice");
}

/** M2-2, but for the limits of counts. */
function hasForm(m) {
  if (!hasKeys(m, REQUIRED, ["decoder", "prior"])) return false;
  const index = (value) => isInteger(value, 0, m.tensors.length - 1);
  return (
    ["encoder", "decoder"].includes(m.role) && ["exact", "float32"].includes(m.profile) && isEndpoint(m.input) && isEndpoint(m.output) &&
    isList(m.layers, 1, Infinity, () => true) && isList(m.tensors, 0, Infinity, isTensor) && isGolden(m, index) &&
    (!("decoder" in m) || isId(m.decoder)) && (!("prior" in m) || isPrior(m.prior, index))
  );
}

const isId = (value) => value instanceof Uint8Array && value.length === 32;

function isEndpoint(value) {
  return hasKeys(value, ["shape", "type"], ["range"]) && isList(value.shape, 1, 7, (n) => isInteger(n, 0)) && ["u8", "i8", "f32"].includes(value.type);
}

function isTensor(value) {
  return (
    hasKeys(value, ["shape", "type", "sha256"]) && isList(value.shape, 1, 8, (n) => isInteger(n, 1)) &&
    typeof value.type === "string" && Object.hasOwn(TENSOR_TYPES, value.type) && isId(value.sha256)
  );
}

function isGolden(m, index) {
  const isOne = (value) => hasKeys(value, ["input", "output"]) && index(value.input) && index(value.output);
  return isFree(m) ? isList(m.golden, 2, 8, isOne) : isOne(m.golden);
}

function isPrior(value, index) {
  const tensors = ["classes", "means", "picks", "tables"];
  if (!isMap(value) || !isInteger(value.bits, 8, 16)) return false;
  if (!("passes" in value)) return hasKeys(value, ["bits", ...tensors]) && tensors.every((key) => index(value[key]));
  return hasKeys(value, ["bits", "passes", "tables"]) && index(value.tables) && isPasses(value.passes);
}

function isPasses(value) {
  const isPair = (pair) => isList(pair, 2, 2, (n) => isInteger(n, 0));
  return (
    hasKeys(value, ["groups", "layers", "outputs"]) && isList(value.groups, 1, 256, (n) => isInteger(n, 1, 2 ** 28)) &&
    isList(value.layers, 1, Infinity, () => true) && isList(value.outputs, 0, Infinity, isPair)
  );
}

/** M2-5 of one endpoint. */
function isRange({ type, range }) {
  if (range === undefined) return true;
  if (type === "f32" || !isList(range, 2, 2, (n) => Number.isInteger(n))) return false;
  const [lo, hi] = range, [least, most] = RANGES[type];
  return lo < hi && lo >= least && hi <= most && (lo > least || hi < most);
}

/** The interval of an endpoint's numbers; null for f32. */
export function rangeOf({ type, range }) {
  return range ?? RANGES[type] ?? null;
}
