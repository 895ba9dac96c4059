/**
 * Chunks of a file that is not read from its start: the trailer, the index, and what stands in front of a `ROWS`.
 */

import { checkPayload, checkStoredLen, CHUNK_BYTES, fail, INDEX_ENTRY, indexEntry, isKnown, isTail, readChunk, readTrailer, TAGS, TRAILER_BYTES } from "./chunks.js";
import { PREAMBLE_BYTES, readHeader, readPreamble } from "./header.js";
import { Places } from "./places.js";

const GAP = 65536; // bytes between two ROWS that are fetched in one go

/**
 * Where a chunk of rows is.
 * @typedef {object} Entry
 * @property {number} at byte of the chunk header
 * @property {bigint} firstRow
 * @property {number} nRows
 * @property {number} number of the chunk
 */

/** The bytes of a source, as far as they reach. */
async function readAt({ size, read }, at, n) {
  const length = Math.max(Math.min(n, size - at), 0);
  return length ? read(at, length) : new Uint8Array(0);
}

/** Preamble and header. */
export async function readStart(source) {
  const preamble = readPreamble(await readAt(source, 0, PREAMBLE_BYTES));
  const header = readHeader(await readAt(source, PREAMBLE_BYTES, preamble.headerLen), preamble);
  return { preamble, header };
}

/** One file that is read by ranges. */
export class Seeker {
  constructor(source, { preamble, header }) {
    Object.assign(this, { source, preamble, header });
    this.begin = PREAMBLE_BYTES + preamble.headerLen;
    this.hasReceipts = this.hasFields = null; // what the first ROWS that was looked at says of all others
  }

  /** The trailer: C9-1, C9-2, and that it ends the file. */
  async trailer() {
    const at = Math.max(this.source.size - TRAILER_BYTES, this.begin);
    const bytes = await readAt(this.source, at, TRAILER_BYTES);
    if (bytes.length < 4 || !isTail(bytes.subarray(0, 4))) fail("C9-1", "truncated", this.source.size, "the file does not end with a trailer");
    this.last = readTrailer(bytes, at, this.preamble.headerCrc);
    return this.last;
  }

  /** The header of the chunk at this byte. */
  async chunk(at, number) {
    return this.#check(readChunk(await readAt(this.source, at, CHUNK_BYTES), at, number, this));
  }

  #check(chunk) {
    const known = isKnown(chunk.tag, this.preamble.flags);
    if (known && TAGS[chunk.tag] !== this.header.kind) fail("C4-6", "structure", chunk.at, `a chunk "${chunk.tag}" in a file of kind ${this.header.kind}`);
    if (chunk.tag === "dECo" || chunk.tag === "iNDX") checkNoRows(chunk);
    if (known) checkStoredLen(chunk, this.header.codec);
    return chunk;
  }

  /** The payload of a chunk, as stored. */
  async payload(chunk) {
    const bytes = await readAt(this.source, chunk.at + CHUNK_BYTES, chunk.padding + chunk.storedLen);
    return checkPayload(bytes, chunk, this.preamble.headerCrc);
  }

  /** All chunks of rows: by the index, or, where there is none, by the chunk headers. @returns {Promise<Entry[]>} */
  async entries() {
    return this.last.indexAt ? this.#fromIndex() : this.#byWalking();
  }

  async #fromIndex() {
    const at = Number(this.last.indexAt);
    if (at < this.begin || at + CHUNK_BYTES > this.last.at) fail("C9-4", "structure", this.last.at + 16, "the trailer does not say where the index is");
    const bytes = await readAt(this.source, at, this.last.at - at);
    const chunk = this.#check(readChunk(bytes.subarray(0, CHUNK_BYTES), at, this.last.nChunks - 1, this));
    if (chunk.tag !== "iNDX" || chunk.payloadAt + chunk.storedLen !== this.last.at) fail("C9-4", "structure", this.last.at + 16, "the trailer does not say where the index is");
    const payload = checkPayload(bytes.subarray(CHUNK_BYTES), chunk, this.preamble.headerCrc);
    return this.#checkOrder(payload, chunk);
  }

  /** C8-1, as far as the index itself shows it. */
  #checkOrder(payload, chunk) {
    const entries = [];
    let rows = 0n, number = -1, at = this.begin;
    for (let i = 0; i * INDEX_ENTRY < payload.length; i++) {
      const entry = indexEntry(payload, i);
      const fits = (i + 1) * INDEX_ENTRY <= payload.length && entry.nRows && entry.firstRow === rows && entry.number > number && entry.at >= BigInt(at) && entry.at < BigInt(chunk.at);
      if (!fits) fail("C8-1", "structure", chunk.payloadAt + i * INDEX_ENTRY, "the index is not in order");
      entries.push({ ...entry, at: Number(entry.at), indexedAt: chunk.payloadAt + i * INDEX_ENTRY });
      rows += BigInt(entry.nRows), (number = entry.number), (at = Number(entry.at) + CHUNK_BYTES);
    }
    if (rows !== this.last.nRows) fail("C8-1", "structure", chunk.payloadAt + payload.length, "the index does not list all rows");
    return entries;
  }

  async #byWalking() {
    const entries = [];
    let at = this.begin, number = 0, rows = 0n;
    for (; at < this.last.at; number++) {
      const chunk = await this.chunk(at, number);
      if (chunk.tag === "iNDX") fail("C9-4", "structure", this.last.at + 16, "the trailer does not say where the index is");
      if (chunk.tag === "ROWS") {
        if (chunk.firstRow !== rows || !chunk.nRows) fail("C4-7", "structure", at + (chunk.nRows ? 8 : 4), "the rows of a ROWS do not fit");
        entries.push({ at, firstRow: rows, nRows: chunk.nRows, number });
        rows += BigInt(chunk.nRows);
      }
      at = chunk.payloadAt + chunk.storedLen;
    }
    if (at !== this.last.at || number !== this.last.nChunks) fail("C9-3", "structure", this.last.at + 4, "the trailer does not count the chunks of the file");
    if (rows !== this.last.nRows || !rows) fail("C9-3", "structure", this.last.at + 8, "the trailer does not count the rows of the file");
    return entries;
  }

  /** C4-6 and C22-1 of what follows the last ROWS. @param {Entry[]} entries */
  async checkEnd(entries) {
    const entry = entries.at(-1), places = this.#places(true);
    const end = this.last.indexAt ? Number(this.last.indexAt) : this.last.at;
    let { payloadAt: at, storedLen: n, number } = await this.chunk(entry.at, entry.number);
    for (at += n, number++; at < end; number++) {
      const chunk = await this.chunk(at, number);
      this.#checkPlace(places, chunk);
      at = chunk.payloadAt + chunk.storedLen;
    }
    places.end(end);
    if (at !== end) fail("C8-1", "structure", entry.indexedAt ?? entry.at, "the index does not lead to the last chunk of rows");
  }

  /** What C4-6 and C22-1 know in front of the chunks of a ROWS. */
  #places(hasBegun) {
    const places = Object.assign(new Places(this.preamble.flags), { hasBegun, hasReceipts: this.hasReceipts });
    places.fields.has = this.hasFields;
    return places;
  }

  /** C4-6 and C22-1. */
  #checkPlace(places, chunk) {
    places.check(chunk, isKnown(chunk.tag, this.preamble.flags));
    places.fields.check(chunk);
  }

  /**
   * The chunks in front of a `ROWS` that speak of its rows, and itself, with the bytes of small ones.
   * @param {Entry} entry @param {Entry | undefined} before the entry in front of it
   * @returns {AsyncGenerator<{chunk: import("./chunks.js").Chunk, payload: () => Promise<Uint8Array>}>}
   */
  async *group(entry, before) {
    let at = this.begin, number = 0;
    if (before) {
      const last = await this.chunk(before.at, before.number);
      at = last.payloadAt + last.storedLen, (number = before.number + 1);
    }
    const near = entry.at - at <= GAP && entry.at >= at ? await readAt(this.source, at, entry.at + CHUNK_BYTES - at) : null;
    const some = near ? new Seeker(windowOf(this.source, near, at), this) : this;
    const places = this.#places(Boolean(before));
    for (; at <= entry.at; number++) {
      const chunk = await some.chunk(at, number);
      this.#checkPlace(places, chunk);
      this.#checkEntry(entry, chunk);
      if (chunk.tag === "fLDs") checkFieldRows(chunk, entry);
      yield { chunk, payload: () => some.payload(chunk) };
      at = chunk.payloadAt + chunk.storedLen;
    }
    this.hasReceipts = places.hasReceipts;
    this.hasFields = places.fields.has;
  }

  /** C8-1: the index leads to this very chunk. */
  #checkEntry(entry, chunk) {
    const isHere = chunk.at === entry.at;
    if (isHere !== (chunk.tag === "ROWS")) wrongEntry(entry, chunk);
    if (!isHere && chunk.payloadAt + chunk.storedLen > entry.at) wrongEntry(entry, chunk);
    if (isHere && (chunk.firstRow !== entry.firstRow || chunk.nRows !== entry.nRows || chunk.number !== entry.number)) wrongEntry(entry, chunk);
  }
}

/** C4-7 of a chunk that speaks of no rows. */
function checkNoRows({ tag, at, nRows, firstRow }) {
  if (nRows || firstRow) fail("C4-7", "structure", nRows ? at + 4 : at + 8, `a ${tag} that speaks of rows`);
}

/** C22-2. */
function checkFieldRows({ at, nRows, firstRow }, entry) {
  if (nRows !== entry.nRows || firstRow !== entry.firstRow) fail("C22-2", "structure", at + (nRows === entry.nRows ? 8 : 4), "the rows of a fLDs do not fit");
}

function wrongEntry(entry, chunk) {
  fail("C8-1", "structure", entry.indexedAt ?? chunk.at, "the index does not lead to the chunks of rows");
}

/** A source that has some bytes already. */
function windowOf(source, bytes, from) {
  const read = async (at, n) => (at >= from && at + n <= from + bytes.length ? bytes.subarray(at - from, at - from + n) : source.read(at, n));
  return { size: source.size, read };
}
