/**
 * What is particular to the chunks of latents (spec/container.md, sections 4 to 8).
 */

import { AefError, insideDecoder } from "./errors.js";
import { equal, product } from "./bytes.js";
import { fail, INDEX_ENTRY, indexEntry, rawPayload } from "./chunks.js";
import { FieldsReader } from "./fields.js";
import { readInside } from "./inside.js";
import { readNames } from "./names.js";
import { Places } from "./places.js";
import { proveRows } from "./receipts.js";
import { RowsReader, checkDecoder } from "./rows.js";
import { countRuns, entryBytes, fixedSizes, readSizes } from "./sizes.js";
import { ENCODINGS } from "./encodings.js";

/** The checks of one file, chunk after chunk. */
export class LatentsChecks {
  constructor(file, options) {
    this.file = file;
    this.options = options;
    this.places = new Places(file.preamble.flags);
    this.rowsOf = [];
    this.pending = {}; // chunks in front of the next ROWS, by tag
    this.reader = new RowsReader(file);
    this.fieldsReader = new FieldsReader();
    if (options.decoder) this.#useDecoder(options.decoder);
  }

  /** A decoder is at hand: C3-14 and C3-16. */
  #useDecoder(pkg) {
    checkDecoder(this.file.header, pkg);
    this.reader.decoder = pkg;
  }

  place(chunk, known) {
    this.places.check(chunk, known);
  }

  /** C4-7. */
  rows(chunk) {
    const { tag, nRows, firstRow, at } = chunk;
    const wrong = (field, where = at) => fail("C4-7", "structure", where + field, `the rows of a ${tag} do not fit`);
    const first = this.file.preamble.flags & 1 ? "SIZE" : "ROWS";
    if (tag === "dECo" || tag === "iNDX") {
      if (nRows || firstRow) wrong(nRows ? 4 : 8);
    } else if (tag === first) {
      if (!nRows) wrong(4);
      if (firstRow !== this.file.nRows) wrong(8);
      for (const before of [this.pending.rCPT, this.pending.nAMe]) if (before) sameRows(before, chunk, (field) => wrong(field, before.at));
    } else if (first === "SIZE" && tag !== "fLDs") sameRows(chunk, this.pending.SIZE, wrong);
    this.pending[tag] = chunk;
  }

  /** C22-1 and C22-2. */
  fields(chunk) {
    this.places.fields.check(chunk);
    const { fLDs } = this.pending;
    const wrong = (field) => fail("C22-2", "structure", fLDs.at + field, "the rows of a fLDs do not fit");
    if (chunk.tag === "fLDs" && !chunk.nRows) wrong(4);
    if (chunk.tag === "fLDs" && chunk.firstRow !== this.file.nRows) wrong(8);
    if (chunk.tag === "ROWS" && fLDs) sameRows(fLDs, chunk, wrong);
  }

  /** C4-8, but for `stored_len`. */
  length({ tag, rawLen, nRows, at }) {
    const { header, preamble } = this.file;
    const fits = () => {
      if (tag === "ROWS") return rawLen === this.#sizes(nRows).reduce((sum, { n, dims }) => sum + n * product(dims), 0) * ENCODINGS[header.encoding].bytes;
      if (tag === "rCPT") return rawLen % 32 === 0 && rawLen / 32 === (preamble.flags & 1 ? countRuns(this.sizes, header, rawLen / 32) : Math.ceil(nRows / 64));
      if (tag === "SIZE") return rawLen % entryBytes(header) === 0 && rawLen <= nRows * entryBytes(header);
      return true;
    };
    if (!fits()) fail("C4-8", "structure", at + 20, `${rawLen} raw bytes in a ${tag} of ${nRows} rows`);
  }

  /** The sizes of the rows of the next ROWS. */
  #sizes(nRows) {
    return this.file.preamble.flags & 1 ? this.sizes : fixedSizes(this.file.header, nRows);
  }

  /** A SIZE is checked before its work is counted. */
  before(chunk, stored) {
    if (chunk.tag === "SIZE") this.sizes = readSizes(stored, this.file.header, chunk.nRows, chunk.payloadAt);
  }

  /** C13-1. */
  units({ tag, rawLen, storedLen, nRows }, stored) {
    if (tag === "dECo") return 0;
    if (tag === "nAMe" || tag === "SIZE") return 516 * rawLen;
    if (tag === "fLDs") return 32 * rawLen;
    if (tag !== "ROWS") return 4 * rawLen;
    if (this.file.header.encoding === "text19") return 4 * rawLen + 4096 * (rawLen / 27);
    return 4 * rawLen + (this.file.header.codec === "rans" && storedLen < rawLen ? this.reader.units(stored, this.#sizes(nRows), nRows) : 0);
  }

  read(chunk, stored) {
    return { dECo: this.#decoder, fLDs: this.#fields, nAMe: this.#names, rCPT: this.#receipts, ROWS: this.#rows, iNDX: this.#index }[chunk.tag]?.call(this, chunk, stored) ?? null;
  }

  /** C7-4, for whoever looks inside. */
  #decoder(chunk, stored) {
    const { header } = this.file;
    const { isValidator, isComputing } = this.options;
    const found = { type: "decoder", bytes: stored, at: chunk.payloadAt };
    this.file.deco = { at: chunk.payloadAt, bytes: stored };
    if (!isValidator && !isComputing && header.codec !== "rans") return found;
    let pkg;
    try {
      pkg = readInside(stored, { isValidator, isComputing });
    } catch (error) {
      if (error instanceof AefError && error.rule !== "C7-4") throw insideDecoder(error, chunk.payloadAt);
      if (error instanceof AefError) fail("C7-4", "structure", chunk.payloadAt, error.what);
      throw error;
    }
    if (pkg.role !== "decoder" || !equal(pkg.modelId, header.decoder)) fail("C7-4", "structure", chunk.payloadAt, "the decoder inside is not the one that the header names");
    this.#useDecoder(pkg);
    return { ...found, package: pkg };
  }

  #fields(chunk, stored) {
    const raw = rawPayload(stored, chunk, undefined, 1);
    this.rowFields = this.fieldsReader.read(raw === stored ? Uint8Array.from(raw) : raw, chunk.nRows, chunk.payloadAt);
    return null;
  }

  #names(chunk, stored) {
    const raw = rawPayload(stored, chunk, undefined, 1);
    this.names = readNames(raw, chunk.nRows, chunk.payloadAt);
    return null;
  }

  /** C7-5; what the digests prove comes after the rows. */
  #receipts(chunk, stored) {
    const { decoder } = this.reader;
    if (decoder && decoder.profile !== "exact") fail("C7-5", "structure", chunk.payloadAt, "receipts of a decoder that is not exact");
    this.receipts = { at: chunk.payloadAt, digests: stored.slice() };
    return null;
  }

  #rows(chunk, stored) {
    const { file } = this;
    const sizes = this.#sizes(chunk.nRows);
    const values = this.reader.read(chunk, stored, sizes);
    const found = {
      type: "rows", firstRow: chunk.firstRow, nRows: chunk.nRows, values, sizes, chunk,
      names: this.names ?? null, fields: this.#takeFields(chunk), receipts: this.receipts?.digests ?? null,
    };
    this.rowsOf.push(chunk);
    file.nRows += BigInt(chunk.nRows);
    if (this.receipts) this.#prove(found);
    this.pending = {};
    this.names = this.rowFields = this.receipts = this.sizes = undefined;
    return found;
  }

  /** The fields of the rows of a ROWS; a validator hands out none. */
  #takeFields({ nRows }) {
    return this.rowFields && !this.options.isValidator ? this.rowFields.all(0, nRows) : null;
  }

  /** M3-12, M4-7 and C7-6, for whoever has the decoder and computes. */
  #prove(rows) {
    const { file, reader } = this;
    file.nReceipts += rows.receipts.length / 32;
    if (!this.options.isValidator && !this.options.isComputing) return;
    if (!reader.decoder) file.notChecked ||= "the receipts: their decoder is not at hand";
    else file.nProved += proveRows(rows, this.receipts.at, reader.decoder, file);
  }

  /** C8-1. */
  #index(chunk, stored) {
    this.file.indexAt = chunk.at;
    const nEntries = stored.length / INDEX_ENTRY;
    const isRight = (want, i) => {
      if (i + 1 > nEntries) return false;
      const entry = indexEntry(stored, i);
      return entry.at === BigInt(want.at) && entry.firstRow === want.firstRow && entry.nRows === want.nRows && entry.number === want.number;
    };
    const wrong = this.rowsOf.findIndex((want, i) => !isRight(want, i));
    const first = wrong >= 0 ? wrong : this.rowsOf.length;
    if (wrong >= 0 || nEntries !== first) fail("C8-1", "structure", chunk.payloadAt + INDEX_ENTRY * first, "the index does not list the chunks of rows");
    return null;
  }

  /** C4-6 at the end. */
  mayEnd({ at }) {
    this.places.end(at);
  }

  /** C9-6. */
  content({ at, contentId }) {
    const { reader, file } = this;
    if (reader.isMissing) file.notChecked ||= "the values, the receipts and the content id: the decoder is not at hand";
    else if (!equal(reader.contentId(), contentId)) fail("C9-6", "content", at + 28, "the values are not those that the trailer names");
  }
}

function sameRows(chunk, other, wrong) {
  if (chunk.nRows !== other.nRows) wrong(4);
  if (chunk.firstRow !== other.firstRow) wrong(8);
}

