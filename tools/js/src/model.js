/**
 * What is particular to the chunks of a model package (spec/model.md, section 1).
 */

import { equal } from "./bytes.js";
import { fail, rawPayload } from "./chunks.js";
import { Package } from "./package.js";
import { TENSOR_TYPES } from "./manifest.js";

const MANIFEST_BYTES = 1048576;

/** The checks of one file, chunk after chunk. */
export class ModelChecks {
  constructor(file, options) {
    this.file = file;
    this.options = options;
    this.nTensorBytes = 0;
  }

  /** M1-1, in the place of C4-6. */
  place({ tag, at, number }) {
    if (number === 0 ? tag !== "MANF" : tag === "MANF") fail("M1-1", "structure", at, "MANF must be the first chunk, and the only one of its kind");
  }

  rows({ tag, at, nRows, firstRow }) {
    if (nRows || firstRow) fail("C4-7", "structure", nRows ? at + 4 : at + 8, `a ${tag} that speaks of rows`);
  }

  length() {}

  units({ rawLen }) {
    return 4 * rawLen;
  }

  /** The memory of the tensors so far (C13-1), if M1-3 and M1-4 let this one pass. */
  fits({ tag, rawLen, payloadAt }, nBytes) {
    if (tag !== "TENS" || this.file.package.nextBytes() !== rawLen) return;
    this.nTensorBytes += rawLen;
    this.file.work.checkMemory(2 * this.nTensorBytes, nBytes, payloadAt);
  }

  read(chunk, stored) {
    return chunk.tag === "MANF" ? this.#manifest(chunk, stored) : this.#tensor(chunk, stored);
  }

  #manifest(chunk, stored) {
    const { header, preamble } = this.file;
    if (chunk.rawLen > MANIFEST_BYTES) fail("M1-1", "limit", chunk.payloadAt, `a manifest of ${chunk.rawLen} bytes`);
    const raw = rawPayload(stored, chunk, header.filter, 1);
    this.file.package = new Package(raw, chunk.payloadAt, { model: header.model, flags: preamble.flags, maxWork: this.options.maxWork });
    return null;
  }

  #tensor(chunk, stored) {
    const pkg = this.file.package, want = pkg.nextBytes();
    if (want < 0) fail("M1-3", "structure", chunk.at, "a tensor too many");
    if (chunk.rawLen !== want) fail("M1-4", "manifest", chunk.payloadAt, `a tensor of ${chunk.rawLen} bytes, not ${want}`);
    const { type } = pkg.manifest.tensors[pkg.tensors.length];
    pkg.addTensor(rawPayload(stored, chunk, this.file.header.filter, TENSOR_TYPES[type]), chunk.payloadAt);
    return null;
  }

  mayEnd({ at }) {
    if (!this.file.package) fail("M1-1", "structure", at, "a package without a manifest");
  }

  content({ at, contentId }) {
    const pkg = this.file.package;
    if (pkg.nextBytes() >= 0) fail("M1-3", "structure", at, "a tensor is missing");
    if (!equal(contentId, pkg.modelId)) fail("M1-2", "content", at + 28, "the trailer does not name the model");
  }

  /** Steps 14 to 18 of the order of checks. */
  finish() {
    const { file } = this, pkg = file.package;
    const { units, memory } = pkg.goldenCost();
    file.work.add(units, file.nBytes, pkg.at);
    file.work.checkMemory(2 * this.nTensorBytes + memory, file.nBytes, pkg.at);
    pkg.nBytes = file.nBytes;
    pkg.finish();
    if (this.options.isValidator || this.options.isComputing) pkg.checkGolden();
  }
}
