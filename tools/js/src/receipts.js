/**
 * Receipts (spec/container.md, section 7): the digests of what the decoder must make, run by run.
 */

import { AefError } from "./errors.js";
import { equal, product } from "./bytes.js";
import { ENCODINGS } from "./encodings.js";
import { checkRowSizes } from "./free.js";
import { Sha256 } from "./sha256.js";
import { cutSizes, runsOf } from "./sizes.js";
import { LIMITS, proofRow } from "./work.js";

/**
 * The pixels of some rows, a piece for each size.
 * @param {import("./package.js").Package} pkg @param {any} values those of the rows @param {import("./sizes.js").Sizes[]} sizes
 */
export function* pixelsOf(pkg, values, sizes) {
  let at = 0;
  for (const { n, dims, image } of sizes) {
    const count = product(dims);
    for (const [rows, many] of pkg.isFree ? Array.from({ length: n }, (_, i) => [i, 1]) : [[0, n]]) {
      const from = at + rows * count;
      const part = values.subarray(from, from + many * count);
      yield { n: many, image, pixels: pkg.isFree ? pkg.run(part, { size: image.slice(0, 2), latent: dims.slice(0, 2) }) : pkg.run(part) };
    }
    at += n * count;
  }
}

/** M3-12, then M4-7, of the rows of a run. `place(i)` is the byte of value i of the run. */
export function checkRun(pkg, values, sizes, place) {
  let at = 0;
  if (pkg.isFree) {
    for (const { n, dims, image } of sizes) {
      checkRowSizes(pkg, dims.slice(0, 2), image.slice(0, 2), place(at));
      at += n * product(dims);
    }
  }
  pkg.checkInput(values, place);
}

/**
 * Prove the digests of a chunk of rows.
 * @returns {number} how many were proved; fewer than there are where the proof would take too much work
 */
export function proveRows({ values, sizes, receipts, chunk }, receiptsAt, pkg, file) {
  if (!values) return 0;
  const bytes = ENCODINGS[file.header.encoding].bytes, isCompressed = chunk.storedLen < chunk.rawLen;
  let row = 0, at = 0, run = 0;
  for (const n of runsOf(sizes, file.header)) {
    const some = cutSizes(sizes, row, row + n);
    const count = some.reduce((sum, entry) => sum + entry.n * product(entry.dims), 0), first = at;
    const place = (i) => (isCompressed ? chunk.payloadAt : chunk.payloadAt + (first + i) * bytes);
    const part = values.subarray(at, at + count);
    checkRun(pkg, part, some, place);
    if (isTooMuch(file, pkg, some, chunk.payloadAt + chunk.storedLen)) return (file.notChecked ||= "receipts whose proof would take too much work"), run;
    const digest = new Sha256();
    for (const { pixels } of pixelsOf(pkg, part, some)) digest.update(pixels);
    checkDigest(digest.digest(), receipts, run, receiptsAt);
    row += n, at += count, run++;
  }
  return run;
}

/** The bound of section 13 on the work of proofs. */
function isTooMuch(file, pkg, sizes, nBytes) {
  const nLayers = pkg.manifest.layers.length;
  const units = sizes.reduce((sum, { n, dims }) => sum + n * proofRow(pkg, pkg.isFree ? dims.slice(0, 2) : null), 10000 * nLayers);
  file.proofs = (file.proofs ?? 0) + units;
  return file.proofs > LIMITS.proofs + LIMITS.proofsAByte * nBytes;
}

/** C7-6. @param {Uint8Array} digest @param {Uint8Array} receipts all of a chunk */
export function checkDigest(digest, receipts, run, at) {
  if (equal(digest, receipts.subarray(32 * run, 32 * run + 32))) return;
  throw new AefError("C7-6", "receipt", at + 32 * run, "the decoder does not make the pixels that the receipt names");
}

