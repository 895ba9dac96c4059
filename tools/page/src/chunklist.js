/**
 * The chunks of a file, noted while its bytes pass by.
 */

import { concat } from "../../js/src/bytes.js";
import { CHUNK_BYTES, isTail, readChunk } from "../../js/src/chunks.js";
import { AefError } from "../../js/src/errors.js";
import { PREAMBLE_BYTES } from "../../js/src/header.js";

const MOST = 5000; // chunks that are kept; the others are counted

export class ChunkList {
  /** @param {{header: any, preamble: any}} start of the file */
  constructor(start) {
    this.start = start;
    this.next = PREAMBLE_BYTES + start.preamble.headerLen; // byte of the next chunk header
    this.rest = new Uint8Array(0); // of the last piece, where a chunk header has begun in it
    this.chunks = [];
    this.nChunks = 0;
    this.trailerAt = null;
    this.isOver = false;
  }

  /** The next bytes of the file. @param {Uint8Array} piece @param {number} at its byte */
  take(piece, at) {
    if (this.isOver) return;
    const bytes = this.rest.length ? concat([this.rest, piece]) : piece, first = at - this.rest.length;
    while (!this.isOver && this.next + CHUNK_BYTES <= first + bytes.length) this.#note(bytes.subarray(this.next - first, this.next - first + CHUNK_BYTES));
    this.rest = this.next < first + bytes.length ? bytes.slice(this.next - first) : new Uint8Array(0);
  }

  #note(bytes) {
    if (isTail(bytes.subarray(0, 4))) return (this.trailerAt = this.next), (this.isOver = true);
    try {
      const chunk = readChunk(bytes, this.next, this.nChunks, this.start);
      const { tag, at, nRows, firstRow, storedLen, rawLen, payloadAt, payloadCrc } = chunk;
      if (this.nChunks++ < MOST) this.chunks.push({ tag, at, nRows, firstRow: Number(firstRow), storedLen, rawLen, payloadAt, payloadCrc });
      this.next = payloadAt + storedLen;
    } catch (error) {
      if (!(error instanceof AefError)) throw error;
      this.isOver = true; // the check says what is wrong
    }
  }

  /** Without the number of chunks where the trailer has not been reached. */
  get found() {
    const { chunks, nChunks, trailerAt } = this;
    return { chunks, nChunks: trailerAt === null ? null : nChunks, trailerAt };
  }
}
