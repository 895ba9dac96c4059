/**
 * Where the chunks of latents may stand: C4-6 and C22-1.
 */

import { fail } from "./chunks.js";

/** Tag -> what may come right behind it, where that is not everything. */
const NEXT = { SIZE: ["rCPT", "nAMe", "ROWS"], rCPT: ["nAMe", "ROWS"], nAMe: ["ROWS"], iNDX: [] };

/** The chunks so far, as far as the next one depends on them. */
export class Places {
  /** @param {number} flags of the preamble */
  constructor(flags) {
    this.hasSizes = (flags & 1) === 1;
    this.isUnknown = (flags & 2) === 2;
    this.before = "";
    this.pending = new Set(); // in front of the next ROWS
    this.hasDecoder = false;
    this.hasBegun = false; // a SIZE, rCPT, nAMe or ROWS has been there
    this.hasReceipts = null; // what the first ROWS said
    this.fields = new FieldPlaces();
  }

  /** C4-6, for which fields are a chunk that is not known. */
  check({ tag, at }, isKnown) {
    const known = isKnown && tag !== "fLDs";
    if (!this.#mayFollow(tag, known)) fail("C4-6", "structure", at, `a chunk "${tag}" cannot stand here`);
    this.before = known ? tag : "";
    if (!known || tag === "iNDX") return;
    if (tag === "dECo") this.hasDecoder = true;
    else this.hasBegun = true;
    this.pending.add(tag);
    if (tag !== "ROWS") return;
    this.hasReceipts ??= this.pending.has("rCPT");
    this.pending.clear();
  }

  #mayFollow(tag, known) {
    if (NEXT[this.before] && !NEXT[this.before].includes(tag)) return false;
    if (!known || tag === "iNDX") return true;
    if (tag === "dECo") return !this.isUnknown && !this.hasDecoder && !this.hasBegun;
    if (tag === "SIZE") return true;
    if (this.hasSizes && !this.pending.has("SIZE")) return false;
    if (tag === "rCPT") return !this.isUnknown && this.hasReceipts !== false;
    return this.hasReceipts !== true || this.pending.has("rCPT");
  }

  /** May the file end here? */
  end(at) {
    if (NEXT[this.before]?.length) fail("C4-6", "structure", at, `the file ends behind a "${this.before}"`);
    this.fields.end(at);
  }
}

const OF_ROWS = ["SIZE", "rCPT", "nAMe", "ROWS"];

/** Where fields may and must stand; which of the chunks of rows comes first, C4-6 has said before. */
class FieldPlaces {
  constructor() {
    this.before = "";
    this.isPending = false; // in front of the next ROWS
    this.has = null; // what the first ROWS said
  }

  /** C22-1. */
  check({ tag, at }) {
    if (!this.#mayFollow(tag)) fail("C22-1", "structure", at, `a chunk "${tag}" cannot stand here`);
    this.before = tag;
    if (tag === "fLDs") this.isPending = true;
    if (tag !== "ROWS") return;
    this.has ??= this.isPending;
    this.isPending = false;
  }

  #mayFollow(tag) {
    if (this.before === "fLDs") return OF_ROWS.includes(tag);
    if (tag === "fLDs") return this.has !== false;
    return !OF_ROWS.includes(tag) || this.has !== true || this.isPending;
  }

  end(at) {
    if (this.before === "fLDs") fail("C22-1", "structure", at, "the file ends behind fields");
  }
}
