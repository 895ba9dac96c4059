/**
 * Preamble and header (spec/container.md, sections 2 and 3).
 */

import { AefError } from "./errors.js";
import { product, u16, u32 } from "./bytes.js";
import { crc32 } from "./crc.js";
import { ENCODINGS } from "./encodings.js";
import { DESCRIBED_RULES, identityOf } from "./described.js";
import { decodeMap, isMap, NotCanonical } from "./msgpack.js";

export const MAGIC = Uint8Array.of(0x89, 0x41, 0x45, 0x46, 0x0d, 0x0a, 0x1a, 0x0a);
export const PREAMBLE_BYTES = 24;
const DEPTH = 4;
const KNOWN_FLAGS = 1 + 2 + 4 + 16;
const DESCRIBED = 16; // the flag bit of section 3.3
const ROW_BYTES = 268435456;
const REQUIRED = {
  latents: ["byte_order", "codec", "decoder", "dims", "encoding", "image", "kind"],
  model: ["byte_order", "codec", "kind", "model"],
};
const OPTIONAL = { latents: ["encoder", "ext", "filter", "values"], model: ["ext", "filter"] };

/**
 * @typedef {object} Preamble
 * @property {number} minor
 * @property {number} flags
 * @property {number} headerLen
 * @property {number} headerCrc
 */

/** C2-1 and C2-7 of what may be less than a preamble. @param {Uint8Array} bytes the first 24 of the file, or all there are */
export function readPreamble(bytes) {
  const n = Math.min(bytes.length, MAGIC.length);
  if (MAGIC.subarray(0, n).some((byte, i) => byte !== bytes[i])) fail("C2-1", "not-aef", 0, "the file does not begin with the magic");
  if (bytes.length < PREAMBLE_BYTES) fail("C2-7", "truncated", bytes.length, "the file ends inside the preamble");
  if (bytes[8] !== 1) fail("C2-2", "unsupported", 8, `format version ${bytes[8]}`);
  if (crc32(bytes.subarray(0, 20)) !== u32(bytes, 20)) fail("C2-3", "checksum", 20, "the preamble's checksum does not match");
  const flags = u16(bytes, 10), minor = bytes[9], headerLen = u32(bytes, 12);
  if (flags & ~(minor >= 1 ? KNOWN_FLAGS : 0)) fail("C2-4", "unsupported", 10, `flags ${flags} with minor version ${minor}`);
  if (headerLen < 1 || headerLen > 65536) fail("C2-5", "limit", 12, `a header of ${headerLen} bytes`);
  return { minor, flags, headerLen, headerCrc: u32(bytes, 16) };
}

function fail(rule, code, at, what) {
  throw new AefError(rule, code, at, what);
}

/**
 * The header, all its rules but C3-14 and C3-16.  `values` is always there for latents.
 * @param {Uint8Array} bytes all that there are of header_len
 * @param {Preamble} preamble
 */
export function readHeader(bytes, preamble) {
  const at = PREAMBLE_BYTES;
  if (bytes.length < preamble.headerLen) fail("C2-7", "truncated", at + bytes.length, "the file ends inside the header");
  if (crc32(bytes) !== preamble.headerCrc) fail("C2-6", "checksum", at, "the header's checksum does not match");
  const header = canonical(bytes);
  for (const [rule, broken] of RULES) {
    const found = broken(header, preamble.flags);
    if (found) fail(rule, found[0], at, found[1]);
  }
  return header.kind === "latents" ? { ...header, values: header.values ?? ENCODINGS[header.encoding].own } : header;
}

function canonical(bytes) {
  try {
    return decodeMap(bytes, DEPTH);
  } catch (error) {
    if (error instanceof NotCanonical) fail(error.rule, "header", PREAMBLE_BYTES + error.offset, error.message);
    throw error;
  }
}

const isInteger = (value, lo, hi) => Number.isInteger(value) && value >= lo && value <= hi;
const isId = (value) => value instanceof Uint8Array && value.length === 32;
const isString = (value) => typeof value === "string";

/** Key -> is the value of the type and range that section 3.2 wants? (C3-8) */
const FORM = {
  byte_order: isString,
  codec: isString,
  decoder: isId,
  described: isMap,
  dims: (value, flags) =>
    Array.isArray(value) && value.length >= 1 && value.length <= 8 && value.every((n) => isInteger(n, flags & 1 ? 0 : 1, 2147483647)),
  encoder: isId,
  encoding: isString,
  ext: isMap,
  filter: isString,
  foreign_decoder: isId,
  image: (value, flags) =>
    Array.isArray(value) && value.length === 4 && value[3] === "u8" && isInteger(value[2], 1, 65535) &&
    value.slice(0, 2).every((n) => isInteger(n, flags & 1 ? 0 : 1, 65535)),
  kind: isString,
  model: isId,
  values: isString,
};

/** The rules in their order: each gives code and sentence of what is broken, or nothing. */
const RULES = [
  ["C3-6", ({ kind }) => (kind === "latents" || kind === "model" ? null : [isString(kind) ? "unsupported" : "header", `kind ${kind}`])],
  ["C3-7", brokenKeys],
  ["C3-8", (header, flags) => {
    const key = Object.keys(header).find((name) => !FORM[name](header[name], flags));
    return key && ["header", `the value of "${key}" is not as it must be`];
  }],
  ["C3-9", ({ kind, encoding, codec, filter }) => {
    if (kind === "latents" && !Object.hasOwn(ENCODINGS, encoding)) return ["unsupported", `encoding "${encoding}"`];
    if (!["none", "zstd", "rans"].includes(codec)) return ["unsupported", `codec "${codec}"`];
    return filter === undefined || filter === "none" || filter === "shuffle" ? null : ["unsupported", `filter "${filter}"`];
  }],
  ["C3-10", ({ kind, encoding, byte_order }) => {
    const order = kind === "model" ? "little" : ENCODINGS[encoding].order;
    return byte_order === order ? null : ["header", `byte order "${byte_order}", where it is "${order}"`];
  }],
  ["C3-11", ({ codec, filter }) =>
    (codec === "zstd") === (filter !== undefined) ? null : ["header", `filter "${filter}" with codec "${codec}"`]],
  ["C3-12", ({ encoding, values }) => {
    if (values === undefined) return null;
    const { own, holds } = ENCODINGS[encoding];
    return values !== own && holds.includes(values) ? null : ["header", `values "${values}" in encoding "${encoding}"`];
  }],
  ["C3-13", ({ kind, dims, encoding }) =>
    kind === "latents" && product(dims.map((n) => n || 1)) * ENCODINGS[encoding].bytes > ROW_BYTES ? ["limit", "a row takes too many bytes"] : null],
  ["C3-15", ({ kind, codec, encoding }) =>
    codec === "rans" && (kind === "model" || !["u8", "i8"].includes(encoding)) ? ["header", 'codec "rans" cannot stand here'] : null],
  ["C3-17", brokenSizes],
  ["C3-18", ({ codec, dims, image }, flags) => {
    if (!(flags & 1) || codec !== "rans") return null;
    const fits = dims.length === 3 && !dims[0] && !dims[1] && dims[2] && (!image || (!image[0] && !image[1]));
    return fits ? null : ["header", 'sizes that codec "rans" cannot have'];
  }],
  ["C3-19", ({ kind, codec, decoder }, flags) =>
    flags & 2 && (kind !== "latents" || decoder || codec === "rans") ? ["header", "a decoder that is not known, and yet"] : null],
  ["C3-20", ({ kind }, flags) => (flags & DESCRIBED && kind !== "latents" ? ["header", "a flag of latents"] : null)],
  ...DESCRIBED_RULES,
];

function brokenKeys(header, flags) {
  const { kind } = header;
  const isLatents = kind === "latents";
  const isFree = (key) => flags & 2 && (key === "decoder" || key === "image");
  const required = [...REQUIRED[kind], ...(isLatents && flags & DESCRIBED ? ["described"] : [])];
  const optional = [...OPTIONAL[kind], ...(isLatents && flags & 2 ? ["foreign_decoder"] : [])];
  const missing = required.find((key) => !(key in header) && !isFree(key));
  if (missing) return ["header", `no "${missing}"`];
  const unknown = Object.keys(header).find((key) => !required.includes(key) && !optional.includes(key));
  return unknown === undefined ? null : ["unsupported", `the key "${unknown}"`];
}

function brokenSizes({ kind, dims, image }, flags) {
  if (flags & 4 && kind !== "model") return ["header", "a flag of model packages"];
  if (!(flags & 1)) return null;
  if (kind !== "latents" || !dims.includes(0)) return ["header", "a flag of rows with sizes of their own, and no free size"];
  return image && !image[0] !== !image[1] ? ["header", "one free side of an image"] : null;
}

/** The map in front of the values in the content id (section 9). */
export function identity({ decoder, dims, foreign_decoder: foreign, image, described, values }) {
  return { ...(decoder && { decoder }), dims, ...(foreign && { foreign_decoder: foreign }), ...(image && { image }), ...identityOf(described), values };
}
