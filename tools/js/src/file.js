/**
 * A file of latents or a model package, opened: its header, rows by number, and all rows as a stream.
 */

import { AefError, decoderMissing, usage } from "./errors.js";
import { equal, hex, join, product } from "./bytes.js";
import { fail, rawPayload } from "./chunks.js";
import { loadPackage } from "./load.js";
import { joinColumns, joinFields } from "./fields.js";
import { forward } from "./forward.js";
import { nameOf, readNames } from "./names.js";
import { checkDigest, checkRun, pixelsOf } from "./receipts.js";
import { checkDecoder, RowsReader } from "./rows.js";
import { ENCODINGS } from "./encodings.js";
import { readStart, Seeker } from "./seek.js";
import { SeekFields } from "./seekfields.js";
import { sha256 } from "./sha256.js";
import { cutSizes, entryBytes, fixedSizes, readSizes, runsOf } from "./sizes.js";
import { toSource } from "./source.js";
import { runStream } from "./streams.js";

const PIECE = 1048576;

/**
 * Open a file.  Reads preamble, header, trailer and index; rows when they are asked for.
 * @param {any} from Uint8Array, ArrayBuffer, Blob, URL, or {size, read(offset, length)}
 * @param {{decoder?: any, fetch?: RequestInit}} [options] `decoder`: a Package, or bytes of one
 */
export async function open(from, options = {}) {
  const source = await toSource(from, options);
  const start = await readStart(source);
  const seeker = new Seeker(source, start);
  const trailer = await seeker.trailer();
  if (start.header.kind === "model") return new ModelFile(source, start, trailer);
  const entries = await seeker.entries();
  await seeker.checkEnd(entries);
  const file = new LatentsFile(source, seeker, trailer, entries);
  if (options.decoder) file.useDecoder(options.decoder);
  return file;
}

class File {
  constructor(source, { header, preamble }, trailer) {
    Object.assign(this, { source, header, preamble, trailer });
    this.kind = header.kind;
    this.contentId = hex(trailer.contentId);
  }

  /** All bytes. */
  bytes() {
    return this.source.read(0, this.source.size);
  }
}

/** A model package that has been found; `load` reads it. */
class ModelFile extends File {
  /** The package, its golden set tried. */
  async load() {
    return loadPackage(await this.bytes());
  }
}

/** Latents. */
class LatentsFile extends File {
  constructor(source, seeker, trailer, entries) {
    super(source, seeker, trailer);
    Object.assign(this, { seeker, entries, seekFields: new SeekFields(seeker, entries) });
    this.nRows = trailer.nRows;
    this.length = Number(trailer.nRows);
    this.cache = null; // the last chunk that was read
    this.package = null;
  }

  /** Take a decoder from outside. @param {any} decoder a Package, or the bytes of one */
  useDecoder(decoder) {
    const pkg = ArrayBuffer.isView(decoder) ? loadPackage(decoder) : decoder;
    if (!this.header.decoder || !equal(pkg.modelId, this.header.decoder)) {
      throw new AefError("", "decoder-mismatch", 0, "the decoder at hand is not the one that the file names");
    }
    checkDecoder(this.header, pkg);
    this.package = pkg;
  }

  /** The decoder: what was given, or what travels in the file; null where there is none. */
  async decoder() {
    if (!this.package) await this.#findInside();
    return this.package;
  }

  async #findInside() {
    if (this.hasNoDecoder || this.entries.length === 0) return;
    for await (const { chunk, payload } of this.seeker.group(this.entries[0])) {
      if (chunk.tag === "dECo") return this.useDecoder(await payload());
    }
    this.hasNoDecoder = true;
  }

  /** Which entry has a row. */
  #find(row) {
    let low = 0, high = this.entries.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.entries[middle].firstRow <= BigInt(row)) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** A chunk of rows with its sizes, names and receipts, and its fields where someone asks for them. */
  async #block(i) {
    if (this.cache?.i === i) return this.cache;
    const { header, preamble } = this;
    const block = { i, entry: this.entries[i], names: null, readFields: async () => null, receipts: null, receiptsAt: 0, sizes: fixedSizes(header, this.entries[i].nRows) };
    for await (const { chunk, payload } of this.seeker.group(this.entries[i], this.entries[i - 1])) {
      if (chunk.tag === "fLDs") block.readFields = () => this.seekFields.read(i, { chunk, payload });
      if (!["SIZE", "nAMe", "rCPT", "ROWS"].includes(chunk.tag)) continue;
      this.#checkRows(chunk, block.entry);
      if (chunk.tag === "SIZE" && preamble.flags & 1) block.sizes = this.#sizes(chunk, await payload());
      if (chunk.tag === "nAMe") block.names = readNames(rawPayload(await payload(), chunk, undefined, 1), chunk.nRows, chunk.payloadAt);
      if (chunk.tag === "rCPT") (block.receipts = await payload()), (block.receiptsAt = chunk.payloadAt), this.#checkReceipts(chunk, block);
      if (chunk.tag === "ROWS") (block.chunk = chunk), (block.values = await this.#values(chunk, block, await payload()));
    }
    return (this.cache = block);
  }

  /** C4-7. */
  #checkRows({ tag, at, nRows, firstRow }, entry) {
    if (nRows !== entry.nRows || firstRow !== entry.firstRow) fail("C4-7", "structure", at + (nRows === entry.nRows ? 8 : 4), `the rows of a ${tag} do not fit`);
  }

  #sizes(chunk, payload) {
    const step = entryBytes(this.header);
    if (chunk.rawLen % step || chunk.rawLen > chunk.nRows * step) fail("C4-8", "structure", chunk.at + 20, `${chunk.rawLen} bytes in a SIZE of ${chunk.nRows} rows`);
    return readSizes(payload, this.header, chunk.nRows, chunk.payloadAt);
  }

  #checkReceipts(chunk, { sizes }) {
    if (chunk.rawLen !== 32 * [...runsOf(sizes, this.header)].length) fail("C4-8", "structure", chunk.at + 20, "a rCPT of the wrong length");
  }

  async #values(chunk, { sizes }, payload) {
    const want = sizes.reduce((sum, { n, dims }) => sum + n * product(dims), 0) * ENCODINGS[this.header.encoding].bytes;
    if (chunk.rawLen !== want) fail("C4-8", "structure", chunk.at + 20, `${chunk.rawLen} raw bytes, not ${want}`);
    const reader = new RowsReader(this);
    if (this.header.codec === "rans" && payload.length < chunk.rawLen) reader.decoder = await this.decoder();
    const values = reader.read(chunk, payload, sizes);
    if (!values) throw decoderMissing(`the rows are coded with the prior of decoder ${hex(this.header.decoder)}, which is not here`);
    return values;
  }

  #check(first, count) {
    if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || first < 0 || count < 0 || BigInt(first) + BigInt(count) > this.nRows) {
      throw usage(`rows ${first} to ${first + count - 1} of ${this.nRows}`);
    }
  }

  /** Which chunks rows `first` to `first + count - 1` lie in, and at which places there. */
  *#spans(first, count) {
    this.#check(first, count);
    for (let row = first; row < first + count; ) {
      const i = this.#find(row), { firstRow, nRows } = this.entries[i];
      const from = Number(BigInt(row) - firstRow);
      const to = Math.min(nRows, from + first + count - row);
      yield { i, from, to };
      row += to - from;
    }
  }

  /** The chunks that rows lie in, read, with their places there. */
  async *#blocks(first, count) {
    for (const { i, from, to } of this.#spans(first, count)) yield { block: await this.#block(i), from, to };
  }

  /**
   * Rows by number.  Reads the chunks that they lie in and no more.
   * @param {number} first @param {number} [count]
   */
  async rows(first, count = 1) {
    const values = [], sizes = [], names = [], fields = [];
    for await (const { block, from, to } of this.#blocks(first, count)) {
      values.push(...partsOf(block, from, to));
      sizes.push(...cutSizes(block.sizes, from, to));
      for (let i = from; i < to; i++) names.push(nameOf(block.names, i));
      const found = await block.readFields();
      if (found) fields.push(found.all(from, to));
    }
    return { first, count, values: join(values), type: this.header.values, sizes, names, fields: joinFields(fields) };
  }

  /** Type and sizes of each field; null where rows have none.  Reads the fields of the first chunk. */
  async fieldTypes() {
    return (await this.seekFields.of(0))?.types() ?? null;
  }

  /**
   * One field of rows by number.  Reads the chunks of fields that they lie in, and no rows.
   * @param {string} name @param {number} first @param {number} [count]
   */
  async fields(name, first, count = 1) {
    const columns = [];
    for (const { i, from, to } of this.#spans(first, count)) columns.push(await this.#field(i, name, from, to));
    return columns.length ? joinColumns(columns) : this.#field(0, name, 0, 0);
  }

  async #field(i, name, from, to) {
    const column = (await this.seekFields.of(i))?.one(name, from, to);
    if (!column) throw usage(`the rows have no field ${JSON.stringify(name)}`);
    return column;
  }

  /**
   * The images of rows.  Where the file has receipts, whole runs are decoded and their digests checked first (C7-6).
   * @param {number} first @param {number} [count]
   * @returns {Promise<{data: Uint8Array, height: number, width: number, channels: number, name: string | null}[]>}
   */
  async images(first, count = 1) {
    const pkg = await this.decoder();
    if (!pkg) throw decoderMissing(this.header.decoder ? `decoder ${hex(this.header.decoder)} is not here` : "the file does not say which decoder it needs");
    const out = [];
    for await (const { block, from, to } of this.#blocks(first, count)) {
      for (const [start, end, run] of spans(block, from, to, this.header)) {
        this.#decode(pkg, block, start, end, run).forEach((image, i) => start + i >= from && start + i < to && out.push(image));
      }
    }
    return out;
  }

  /** Images of rows `start` to `end - 1` of a chunk, proved where they are a run of receipts. */
  #decode(pkg, block, start, end, run) {
    if (block.receipts && pkg.profile !== "exact") fail("C7-5", "structure", block.receiptsAt, "receipts of a decoder that is not exact");
    const sizes = cutSizes(block.sizes, start, end), [values] = [join(partsOf(block, start, end))];
    const { bytes } = ENCODINGS[this.header.encoding];
    const before = cutSizes(block.sizes, 0, start).reduce((sum, { n, dims }) => sum + n * product(dims), 0);
    const isCompressed = block.chunk.storedLen < block.chunk.rawLen;
    checkRun(pkg, values, sizes, (i) => block.chunk.payloadAt + (isCompressed ? 0 : (before + i) * bytes));
    const made = [...pixelsOf(pkg, values, sizes)];
    if (block.receipts) checkDigest(sha256(...made.map(({ pixels }) => pixels)), block.receipts, run, block.receiptsAt);
    return made.flatMap(({ n, image, pixels }) => {
      const [height, width, channels] = image ?? pkg.output.shape, size = height * width * channels;
      return Array.from({ length: n }, (_, i) => ({ data: pixels.slice(i * size, (i + 1) * size), height, width, channels, name: null }));
    }).map((image, i) => ({ ...image, name: nameOf(block.names, start + i) }));
  }

  /** All rows from the first on, chunk by chunk, by every rule of a forward reader. */
  async *stream() {
    const body = this.source.stream ? await this.source.stream() : pieces(this.source);
    yield* readStream(body, { decoder: this.package ?? undefined });
  }
}

/** Start and end, in the chunk, of what must be decoded together, and the number of its run. */
function spans(block, from, to, header) {
  if (!block.receipts) return [[from, to, -1]];
  const found = [];
  let at = 0, i = 0;
  for (const n of runsOf(block.sizes, header)) {
    if (at < to && at + n > from) found.push([at, at + n, i]);
    at += n, i++;
  }
  return found;
}

/** The values of rows of a chunk. */
function partsOf({ values, sizes }, from, to) {
  const count = (some) => some.reduce((sum, { n, dims }) => sum + n * product(dims), 0);
  const start = count(cutSizes(sizes, 0, from));
  return [values.subarray(start, start + count(cutSizes(sizes, from, to)))];
}

async function* pieces({ size, read }) {
  for (let at = 0; at < size; at += PIECE) yield read(at, Math.min(PIECE, size - at));
}

/**
 * The chunks of rows of a stream, as they arrive.
 * @param {ReadableStream | AsyncIterable<Uint8Array>} stream
 * @param {{decoder?: any}} [options]
 */
export async function* readStream(stream, { decoder } = {}) {
  for await (const event of runStream(forward({ decoder, isComputing: false }), stream)) {
    if (event.type === "rows" && !event.values) throw decoderMissing("the rows are coded with the prior of a decoder that is not here");
    yield event;
  }
}

