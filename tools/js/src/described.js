/**
 * What latents are (spec/container.md, section 3.3): C3-20 to C3-26.
 */

import { isMap } from "./msgpack.js";

const UTF8 = new TextEncoder();
const OTHER = "other: ";
const NUMBERS = ["scale", "shift", "step"];

/** Key -> the names that this version assigns. */
const ASSIGNED = {
  colour: ["srgb", "bgr", "grey"],
  crop: ["none", "center", "random", "bucket"],
  kind: ["mean", "sample"],
  resize: ["none", "fit", "cover", "stretch"],
  resize_filter: ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"],
  value_range: ["-1..1", "0..1", "0..255"],
};

const isInteger = (value, lo, hi) => Number.isInteger(value) && value >= lo && value <= hi;
const isOther = (value) => value.startsWith(OTHER);

/** A string of 1 to 1,024 bytes without control characters. */
function isText(value) {
  const n = typeof value === "string" ? UTF8.encode(value).length : 0;
  return n >= 1 && n <= 1024 && !/[\u0000-\u001f\u007f]/.test(value);
}

const isName = (value) => typeof value === "string" && (!isOther(value) || isText(value.slice(OTHER.length)));
const isNumbers = (value) => value instanceof Uint8Array && value.length >= 8 && value.length <= 8 * 2048 && value.length % 8 === 0;
const isId = (value) => value instanceof Uint8Array && value.length === 32;

/** Key -> is the value of its type and range? (C3-22) */
const FORM = {
  axis: (value) => isInteger(value, 0, 7),
  foreign_encoder: isId,
  scale: isNumbers,
  seed: (value) => isInteger(value, 0, Number.MAX_SAFE_INTEGER),
  shift: isNumbers,
  size: (value) => Array.isArray(value) && value.length === 2 && value.every((n) => isInteger(n, 1, 65535)),
  software: isText,
  step: isNumbers,
  ...Object.fromEntries(Object.keys(ASSIGNED).map((key) => [key, isName])),
};

/** The numbers of a binary string. @param {Uint8Array} bytes @returns {Float64Array} */
export function numbersOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

/** The lists of numbers that are there, by key. */
function lists(described) {
  return NUMBERS.filter((key) => key in described).map((key) => [key, numbersOf(described[key])]);
}

/** Does each rule hold? In their order, each with the code of what breaks it; C3-20 and header keys are header.js's. */
export const DESCRIBED_RULES = [
  ["C3-21", ({ described }) => {
    const keys = Object.keys(described);
    if (!keys.length) return ["header", '"described" says nothing'];
    const unknown = keys.find((key) => !Object.hasOwn(FORM, key));
    return unknown === undefined ? null : ["unsupported", `the key "${unknown}" in "described"`];
  }],
  ["C3-22", ({ described }) => {
    const bad = Object.keys(described).find((key) => !FORM[key](described[key]));
    return bad && ["header", `the value of "${bad}" in "described" is not as it must be`];
  }],
  ["C3-23", ({ described }) => {
    const bad = Object.keys(ASSIGNED).find((key) => key in described && !isOther(described[key]) && !ASSIGNED[key].includes(described[key]));
    return bad && ["unsupported", `${bad} "${described[bad]}"`];
  }],
  ["C3-24", ({ described }) => {
    const fits = (key, x) => Number.isFinite(x) && !Object.is(x, -0) && (key !== "scale" || x !== 0) && (key !== "step" || x > 0);
    const bad = lists(described).find(([key, numbers]) => !numbers.every((x) => fits(key, x)));
    return bad && ["header", `a number in "${bad[0]}" that cannot be`];
  }],
  ["C3-25", ({ described, dims }) => (isOneWay(described, dims) ? null : ["header", "numbers or an axis that are written in another way"])],
  ["C3-26", (header, flags) => (belongs(header, flags) ? null : ["header", "keys of \"described\" that do not go together"])],
].map(([rule, broken]) => [rule, (header, flags) => (isMap(header.described) ? broken(header, flags) : null)]);

/** C3-25. */
function isOneWay({ axis, ...described }, dims) {
  const all = lists(described), many = all.filter(([, numbers]) => numbers.length > 1);
  const isDefault = all.some(([key, numbers]) => numbers.length === 1 && ((key === "scale" && numbers[0] === 1) || (key === "shift" && numbers[0] === 0)));
  if (isDefault || many.some(([, numbers]) => numbers.every((x) => x === numbers[0]))) return false;
  if (many.length > 0 !== (axis !== undefined)) return false;
  return axis === undefined || (axis < dims.length && dims[axis] !== 0 && many.every(([, numbers]) => numbers.length === dims[axis]));
}

/** C3-26. */
function belongs({ described, encoder }, flags) {
  const { scale, shift, foreign_encoder: foreign, resize, resize_filter: filter, seed, kind, crop } = described;
  if ((scale || shift) && !(flags & 2)) return false;
  if (foreign && encoder) return false;
  if (filter !== undefined && (resize === undefined || resize === "none")) return false;
  const isOtherName = (name) => name !== undefined && isOther(name);
  return seed === undefined || kind === "sample" || crop === "random" || isOtherName(kind) || isOtherName(crop);
}

/** What of it the content id takes in. */
export function identityOf({ scale, shift, axis } = {}) {
  const isLong = [scale, shift].some((bytes) => bytes && bytes.length > 8);
  return { ...(scale && { scale }), ...(shift && { shift }), ...(isLong && { axis }) };
}
