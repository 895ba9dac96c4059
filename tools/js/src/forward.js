/**
 * A file read from its first byte to its last (spec/container.md): every rule in the order of the page.
 *
 * A generator without input or output of its own.  It yields a number to ask for so many bytes, and gets them, fewer only at the
 * end of the file; it yields an object to tell what it has read.  source.js and streams.js feed it.
 */

import { le32 } from "./bytes.js";
import { crc32 } from "./crc.js";
import { checkPayload, checkStoredLen, checkTrailer, CHUNK_BYTES, fail, isKnown, isTail, readChunk, readTrailer, TAGS, TRAILER_BYTES } from "./chunks.js";
import { PREAMBLE_BYTES, readHeader, readPreamble } from "./header.js";
import { LatentsChecks } from "./latents.js";
import { ModelChecks } from "./model.js";
import { Work } from "./work.js";

/**
 * @typedef {object} ForwardOptions
 * @property {boolean} [isValidator] look into an embedded decoder, run golden sets, prove receipts, bound the work
 * @property {any} [decoder] a Package that is at hand beside the file
 * @property {boolean} [isInside] the bytes are an embedded decoder
 * @property {boolean} [isLoose] with an embedded decoder of codec "rans": check no more than its prior needs
 */

/**
 * Read a file forward.
 * @param {ForwardOptions} [options]
 * @returns {Generator<any, any, Uint8Array>} yields numbers and {type: "header" | "decoder" | "rows" | "package" | "trailer", ...}
 */
export function* forward(options = {}) {
  const preamble = readPreamble(yield PREAMBLE_BYTES);
  const header = readHeader(yield preamble.headerLen, preamble);
  const file = { preamble, header, work: new Work(Boolean(options.isValidator)), nRows: 0n, indexAt: 0, notChecked: "", nReceipts: 0, nProved: 0 };
  const checks = header.kind === "model" ? new ModelChecks(file, options) : new LatentsChecks(file, options);
  yield { type: "header", header, preamble };
  yield* chunks(file, checks);
  return file;
}

/** Every chunk, then the trailer. */
function* chunks(file, checks) {
  const { headerCrc, headerLen } = file.preamble;
  let at = PREAMBLE_BYTES + headerLen, chainCrc = 0;
  for (let number = 0; ; number++) {
    const first = yield 4;
    if (isTail(first)) return yield* end(file, checks, { first, at, nChunks: number, chainCrc });
    const rest = yield CHUNK_BYTES - 4;
    const chunk = readChunk(join(first, rest), at, number, file);
    checkHeader(chunk, file, checks);
    chainCrc = crc32(le32(chunk.chunkCrc), chainCrc);
    const stored = checkPayload(yield chunk.padding + chunk.storedLen, chunk, headerCrc);
    at = chunk.payloadAt + chunk.storedLen;
    if (isKnown(chunk.tag, file.preamble.flags)) yield* payload(chunk, stored, file, checks);
  }
}

function join(first, rest) {
  const bytes = new Uint8Array(first.length + rest.length);
  bytes.set(first);
  bytes.set(rest, first.length);
  return bytes;
}

/** C4-6 to C4-8, then C22-1 and C22-2. */
function checkHeader(chunk, { preamble, header }, checks) {
  const known = isKnown(chunk.tag, preamble.flags);
  if (known && TAGS[chunk.tag] !== header.kind) fail("C4-6", "structure", chunk.at, `a chunk "${chunk.tag}" in a file of kind ${header.kind}`);
  checks.place(chunk, known);
  if (known) {
    checks.rows(chunk);
    checks.length(chunk);
    checkStoredLen(chunk, header.codec);
  }
  checks.fields?.(chunk);
}

/** What a chunk that is known holds. */
function* payload(chunk, stored, file, checks) {
  const nBytes = chunk.payloadAt + chunk.storedLen;
  checks.before?.(chunk, stored);
  file.work.add(checks.units(chunk, stored), nBytes, chunk.payloadAt);
  checks.fits?.(chunk, nBytes);
  const found = checks.read(chunk, stored);
  if (found) yield found;
}

/** The trailer and what stands behind it. */
function* end(file, checks, { first, at, nChunks, chainCrc }) {
  const rest = yield TRAILER_BYTES - first.length;
  const trailer = readTrailer(join(first, rest), at, file.preamble.headerCrc);
  checks.mayEnd(trailer);
  checkTrailer(trailer, { nChunks, nRows: file.nRows, indexAt: file.indexAt, chainCrc, isModel: file.header.kind === "model" });
  checks.content(trailer);
  const more = yield 1;
  if (more.length) fail("C9-7", "structure", at + TRAILER_BYTES, "bytes behind the trailer");
  file.trailer = trailer;
  file.nBytes = at + TRAILER_BYTES;
  checks.finish?.();
  yield { type: "trailer", trailer };
}

