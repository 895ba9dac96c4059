/**
 * The payload of a `ROWS` to values, whatever codec and encoding it has, and the content id of them all.
 */

import { AefError } from "./errors.js";
import { le32, product } from "./bytes.js";
import { rawPayload } from "./chunks.js";
import { contentBytes, ENCODINGS, readValues } from "./encodings.js";
import { identity } from "./header.js";
import { encodeMap } from "./msgpack.js";
import { countPassSteps, decodePasses } from "./passes.js";
import { checkLanes, checkStates, countSteps, decodeRows, failCode, lanesOf, STEPS, STEPS_A_BYTE } from "./rans.js";
import { Sha256 } from "./sha256.js";
import { countValues, eachRow } from "./sizes.js";

/** C3-14 and C3-16. @param {any} header @param {import("./package.js").Package} pkg */
export function checkDecoder(header, { input, output, manifest }) {
  const fail = (rule, what) => {
    throw new AefError(rule, "header", 24, what);
  };
  const same = (a, b) => a.length === b.length && a.every((n, i) => n === b[i]);
  const fitsImage = !header.image || same(header.image.slice(0, 3), output.shape);
  const fitsType = input.type === "f32" ? /f/.test(header.values) : header.values === input.type;
  if (!same(header.dims, input.shape) || !fitsImage || !fitsType) fail("C3-14", "dims, image or values are not those of the decoder");
  if (header.codec === "rans" && !manifest.prior) fail("C3-16", 'codec "rans", and the decoder has no prior');
}

/** Reads the rows of one file, and keeps the digest of their values. */
export class RowsReader {
  constructor({ header, preamble }) {
    this.header = header;
    this.hasSizes = (preamble.flags & 1) === 1;
    this.digest = new Sha256().update(encodeMap(identity(header)));
    this.decoder = null;
    this.isMissing = false; // rows could not be decoded
    this.nSteps = 0; // of codes with codec "rans" so far
    this.ofPayload = null;
  }

  /** C13-1 of a code. */
  units(code, sizes, nRows) {
    if (code[0] > 10) return 0; // C6-7 refuses it before anything is done
    const steps = this.#steps(code, sizes, nRows);
    if (this.hasSizes) return steps === null || steps > STEPS ? 0 : 4096 * steps; // C6-8 refuses more
    return 256 * steps + 16 * (countValues(sizes) + nRows);
  }

  /** Steps of C6-8; null where only the decoder knows. */
  #steps(code, sizes, nRows) {
    if (!this.hasSizes) return countSteps(lanesOf(code), nRows, product(this.header.dims));
    return this.decoder?.manifest.prior?.passes ? countPassSteps(this.decoder, sizes, lanesOf(code)) : null;
  }

  /** C6-7 to C6-10, as far as they can be checked. */
  #checkCode(code, sizes, { nRows, payloadAt, storedLen }, fail) {
    checkLanes(code, this.hasSizes ? countValues(sizes) : nRows, fail);
    const steps = this.#steps(code, sizes, nRows);
    if (steps !== null) {
      this.nSteps += steps;
      if (steps > STEPS || this.nSteps > STEPS + STEPS_A_BYTE * (payloadAt + storedLen)) fail("C6-8", "a code of too many steps", "limit");
    }
    checkStates(code, fail);
  }

  /** The raw bytes of a code; null where the decoder is missing. */
  #decode(code, sizes, chunk) {
    const fail = failCode(chunk.payloadAt);
    this.#checkCode(code, sizes, chunk, fail);
    if (!this.decoder) return (this.isMissing = true), null;
    return this.hasSizes ? decodePasses(code, this.decoder, sizes, fail) : decodeRows(code, this.decoder, chunk.nRows, fail);
  }

  /**
   * The values of one payload; null where they cannot be had.
   * @param {import("./chunks.js").Chunk} chunk @param {Uint8Array} stored @param {import("./sizes.js").Sizes[]} sizes
   */
  read(chunk, stored, sizes) {
    const { header } = this;
    const isCompressed = stored.length < chunk.rawLen;
    const { bytes } = ENCODINGS[header.encoding];
    const raw = isCompressed && header.codec === "rans"
      ? this.#decode(stored, sizes, chunk)
      : rawPayload(stored, chunk, header.filter, header.encoding === "text19" ? 1 : bytes);
    if (!raw) return null;
    const perRows = header.encoding === "text19" ? perRow(sizes) : [];
    const values = readValues(raw, header, perRows, chunk.payloadAt, isCompressed);
    if (!this.isMissing) this.#addContent(values, sizes);
    return values;
  }

  #addContent(values, sizes) {
    const { values: type } = this.header;
    if (!this.hasSizes) return void this.digest.update(contentBytes(values, type));
    let at = 0;
    for (const { free, dims } of eachRow(sizes)) {
      const n = product(dims);
      this.digest.update(le32(...free)).update(contentBytes(values.subarray(at, at + n), type));
      at += n;
    }
  }

  contentId() {
    return this.digest.digest();
  }
}

function perRow(sizes) {
  return sizes.length === 1 ? [product(sizes[0].dims)] : Array.from(eachRow(sizes), ({ dims }) => product(dims));
}
