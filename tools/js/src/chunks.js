/**
 * Chunk headers, payloads and the trailer, byte by byte (spec/container.md, sections 4 and 9).
 */

import { AefError } from "./errors.js";
import { le32, u32, u64 } from "./bytes.js";
import { crc32 } from "./crc.js";
import { decompress, unshuffle } from "./zstd.js";

export const CHUNK_BYTES = 32;
export const TRAILER_BYTES = 64;
const LARGEST = 268435456;
/** Tag -> kind of the files that have it. */
export const TAGS = {
  dECo: "latents", fLDs: "latents", SIZE: "latents", nAMe: "latents", rCPT: "latents", ROWS: "latents", iNDX: "latents", MANF: "model", TENS: "model",
};
const NEVER_COMPRESSED = ["dECo", "SIZE", "rCPT", "iNDX"];

/**
 * @typedef {object} Chunk
 * @property {string} tag
 * @property {number} at byte of its header
 * @property {number} number position among the chunks
 * @property {number} nRows
 * @property {bigint} firstRow
 * @property {number} storedLen
 * @property {number} rawLen
 * @property {number} payloadCrc
 * @property {number} chunkCrc
 * @property {number} padding zero bytes in front of the payload
 * @property {number} payloadAt byte of its payload
 */

/** @param {string} rule @param {string} code @param {number} at @param {string} what @returns {never} */
export function fail(rule, code, at, what) {
  throw new AefError(rule, code, at, what);
}

const letter = (byte) => (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
const isCapital = (byte) => byte >= 65 && byte <= 90;

/** What goes in front of a chunk's bytes in its checksums. */
function prefix(headerCrc, number) {
  return crc32(le32(headerCrc, number));
}

/**
 * A chunk header: C4-1 to C4-5.
 * @param {Uint8Array} bytes 32, or all there are
 * @param {{header: any, preamble: {headerCrc: number, flags: number}}} file
 * @returns {Chunk}
 */
export function readChunk(bytes, at, number, { header, preamble }) {
  if (bytes.length < CHUNK_BYTES) fail("C4-1", "truncated", at + bytes.length, "the file ends inside a chunk header");
  if (crc32(bytes.subarray(0, 28), prefix(preamble.headerCrc, number)) !== u32(bytes, 28)) {
    fail("C4-2", "checksum", at + 28, "the chunk header's checksum does not match");
  }
  if (![0, 1, 2, 3].every((i) => letter(bytes[i])) || !isCapital(bytes[2])) fail("C4-3", "structure", at, "a chunk without a proper tag");
  const tag = String.fromCharCode(...bytes.subarray(0, 4));
  const storedLen = u32(bytes, 16), rawLen = u32(bytes, 20);
  if (rawLen < 1 || rawLen > LARGEST) fail("C4-4", rawLen ? "limit" : "structure", at + 20, `${rawLen} raw bytes`);
  if (storedLen < 1 || storedLen > rawLen) fail("C4-4", "structure", at + 16, `${storedLen} stored bytes of ${rawLen} raw ones`);
  if (!isKnown(tag, preamble.flags) && isCapital(bytes[0])) fail("C4-5", "unsupported", at, `a chunk "${tag}"`);
  const padding = paddingOf(tag, at + CHUNK_BYTES, header);
  return {
    tag, at, number, nRows: u32(bytes, 4), firstRow: u64(bytes, 8), storedLen, rawLen,
    payloadCrc: u32(bytes, 24), chunkCrc: u32(bytes, 28), padding, payloadAt: at + CHUNK_BYTES + padding,
  };
}

/** Is the tag one that this version assigns? Without flag bit 0 `SIZE` is none. */
export function isKnown(tag, flags) {
  return Object.hasOwn(TAGS, tag) && (tag !== "SIZE" || (flags & 1) === 1);
}

function paddingOf(tag, at, { codec, encoding }) {
  const isAligned = codec === "none" && (tag === "TENS" || (tag === "ROWS" && !["text19", "u8", "i8"].includes(encoding)));
  return isAligned ? -at & 63 : 0;
}

/** The lengths that C4-8 wants of a chunk that is not compressed. @param {Chunk} chunk */
export function checkStoredLen({ tag, at, storedLen, rawLen }, codec) {
  if ((codec === "none" || NEVER_COMPRESSED.includes(tag)) && storedLen !== rawLen) {
    fail("C4-8", "structure", at + 16, `${storedLen} stored bytes of ${rawLen} in a chunk that is never compressed`);
  }
}

/**
 * Padding and payload: C4-9 to C4-11.
 * @param {Uint8Array} bytes all that there are of both @param {Chunk} chunk @param {number} headerCrc
 * @returns {Uint8Array} the payload as stored
 */
export function checkPayload(bytes, chunk, headerCrc) {
  const { padding, storedLen, at, payloadAt, number } = chunk;
  if (bytes.length < padding + storedLen) fail("C4-10", "truncated", at + CHUNK_BYTES + bytes.length, "the file ends inside a payload");
  const dirty = bytes.subarray(0, padding).findIndex((byte) => byte !== 0);
  if (dirty >= 0) fail("C4-9", "structure", at + CHUNK_BYTES + dirty, "padding that is not zero");
  const payload = bytes.subarray(padding);
  if (crc32(payload, prefix(headerCrc, number)) !== chunk.payloadCrc) fail("C4-11", "checksum", payloadAt, "the payload's checksum does not match");
  return payload;
}

/**
 * The raw bytes of a payload that is stored as it is, or as a zstd frame.
 * @param {Uint8Array} stored @param {Chunk} chunk @param {string | undefined} filter @param {number} width bytes of a value
 */
export function rawPayload(stored, { rawLen, payloadAt }, filter, width) {
  if (stored.length === rawLen) return stored;
  const raw = decompress(stored, rawLen, payloadAt);
  return filter === "shuffle" ? unshuffle(raw, width) : raw;
}

/**
 * @typedef {object} Trailer
 * @property {number} at
 * @property {number} nChunks
 * @property {bigint} nRows
 * @property {bigint} indexAt
 * @property {number} chainCrc
 * @property {Uint8Array} contentId
 */

/** Is this what a trailer begins with, or nothing at all? @param {Uint8Array} bytes up to four */
export function isTail(bytes) {
  return bytes.every((byte, i) => byte === "TAIL".charCodeAt(i));
}

/** C9-1 and C9-2. @param {Uint8Array} bytes 64, or all there are @returns {Trailer} */
export function readTrailer(bytes, at, headerCrc) {
  if (bytes.length < TRAILER_BYTES) fail("C9-1", "truncated", at + bytes.length, "the file ends without a whole trailer");
  const nChunks = u32(bytes, 4);
  if (crc32(bytes.subarray(0, 60), prefix(headerCrc, nChunks)) !== u32(bytes, 60)) {
    fail("C9-2", "checksum", at + 60, "the trailer's checksum does not match");
  }
  return { at, nChunks, nRows: u64(bytes, 8), indexAt: u64(bytes, 16), chainCrc: u32(bytes, 24), contentId: bytes.slice(28, 60) };
}

/**
 * C9-3 to C9-5.
 * @param {Trailer} trailer
 * @param {{nChunks: number, nRows: bigint, indexAt: number, chainCrc: number, isModel: boolean}} seen
 */
export function checkTrailer(trailer, { nChunks, nRows, indexAt, chainCrc, isModel }) {
  const { at } = trailer;
  if (trailer.nChunks !== nChunks) fail("C9-3", "structure", at + 4, `the trailer counts ${trailer.nChunks} chunks, not ${nChunks}`);
  if (trailer.nRows !== nRows || (!isModel && nRows === 0n)) fail("C9-3", "structure", at + 8, `the trailer counts ${trailer.nRows} rows, there are ${nRows}`);
  if (trailer.indexAt !== BigInt(indexAt)) fail("C9-4", "structure", at + 16, "the trailer does not say where the index is");
  if (trailer.chainCrc !== chainCrc) fail("C9-5", "content", at + 24, "the checksum of all chunks does not match");
}

export const INDEX_ENTRY = 24;

/** One entry of an index. @param {Uint8Array} bytes @param {number} i */
export function indexEntry(bytes, i) {
  const at = INDEX_ENTRY * i;
  return { at: u64(bytes, at), firstRow: u64(bytes, at + 8), nRows: u32(bytes, at + 16), number: u32(bytes, at + 20) };
}
