/**
 * Fields of rows in a file that is read by ranges: their chunks alone, without the rows.
 */

import { rawPayload } from "./chunks.js";
import { FieldsReader } from "./fields.js";

/** The fields of the chunks of rows of one file. */
export class SeekFields {
  /** @param {import("./seek.js").Seeker} seeker @param {import("./seek.js").Entry[]} entries */
  constructor(seeker, entries) {
    Object.assign(this, { seeker, entries });
    this.reader = new FieldsReader();
    this.cache = null; // the last chunk that was read
  }

  /** What a chunk `fLDs` in front of the rows of entry `i` holds. */
  async read(i, { chunk, payload }) {
    if (this.cache?.i === i) return this.cache.fields;
    const raw = rawPayload(await payload(), chunk, undefined, 1);
    const fields = this.reader.read(raw, chunk.nRows, chunk.payloadAt);
    this.cache = { i, fields };
    return fields;
  }

  /** The fields of the rows of entry `i`; null where there are none. @returns {Promise<import("./fields.js").RowFields | null>} */
  async of(i) {
    if (this.cache?.i === i) return this.cache.fields;
    let found = null;
    for await (const part of this.seeker.group(this.entries[i], this.entries[i - 1])) if (part.chunk.tag === "fLDs") found = part;
    return found && this.read(i, found);
  }
}
