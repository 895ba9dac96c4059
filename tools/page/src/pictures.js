/**
 * Decoded images of one file: the ones in view are asked for, and the last ones are kept.
 */

import { Listened } from "./listened.js";

const KEPT_BYTES = 1 << 26;
const BLOCK_PIXELS = 1 << 20; // asked for in one go; a run of receipts has no more
const BLOCK_ROWS = 64;

export class Pictures extends Listened {
  /** @param {any} document @param {number} length images */
  constructor(document, length) {
    super();
    Object.assign(this, { document, length, nRows: 0, blocks: new Map(), wanted: [0, 0], isBusy: false, nBytes: 0 });
    this.shape = null; // of the first image
    this.error = null;
  }

  /** An image that is there; undefined if it is not yet. @param {number} i */
  get(i) {
    return this.blocks.get(Math.floor(i / this.nRows))?.[i % this.nRows];
  }

  /** Say which images are in view: the last call counts. */
  want(from, to) {
    this.wanted = [Math.max(0, from), Math.min(this.length, to)];
    this.#work();
  }

  /** One image, when it is there. @param {number} i */
  async fetch(i) {
    await this.#measure();
    const b = Math.floor(i / this.nRows);
    if (!this.blocks.has(b)) await this.#load(b);
    return this.get(i);
  }

  async #measure() {
    if (this.nRows) return;
    const { image } = await this.document.ask({ do: "row", row: 0 });
    const { output } = this.document.decoder;
    this.shape = (image ?? output.shape).slice(0, 3);
    this.nRows = Math.max(1, Math.min(BLOCK_ROWS, Math.floor(BLOCK_PIXELS / (this.shape[0] * this.shape[1]))));
  }

  async #work() {
    if (this.isBusy || this.error) return;
    this.isBusy = true;
    try {
      await this.#measure();
      for (let b = this.#next(); b >= 0; b = this.#next()) await this.#load(b);
    } catch (error) {
      if (!error.problem) throw error;
      this.set({ error: error.problem });
    } finally {
      this.isBusy = false;
    }
  }

  /** The first block in view that is missing; -1 if none is. */
  #next() {
    const [from, to] = this.wanted;
    for (let b = Math.floor(from / this.nRows); b * this.nRows < to; b++) if (!this.blocks.has(b)) return b;
    return -1;
  }

  async #load(b) {
    const first = b * this.nRows, count = Math.min(this.nRows, this.length - first);
    const images = await this.document.ask({ do: "images", first, count });
    this.blocks.set(b, images);
    this.nBytes += bytesOf(images);
    for (const [old, some] of this.blocks) {
      if (this.nBytes < KEPT_BYTES) break;
      if (old === b || ((old + 1) * this.nRows > this.wanted[0] && old * this.nRows < this.wanted[1])) continue;
      this.blocks.delete(old);
      this.nBytes -= bytesOf(some);
    }
    this.set({});
  }
}

function bytesOf(images) {
  return images.reduce((sum, { data, original }) => sum + data.length + (original ? original.data.length : 0), 0);
}
