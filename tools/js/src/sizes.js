/**
 * Rows of their own size (spec/container.md, section 5.1) and the runs of receipts (section 7).
 */

import { AefError } from "./errors.js";
import { product, u32 } from "./bytes.js";
import { ENCODINGS } from "./encodings.js";

const ROW_BYTES = 268435456;
const IMAGE_ELEMENTS = 1073741824;
const RUN_ROWS = 64;
const RUN_PIXELS = 1048576;

/**
 * Sizes that follow one another: `n` rows of one shape.
 * @typedef {object} Sizes
 * @property {number} n rows
 * @property {number[]} free the sizes as they are stored
 * @property {number[]} dims shape of one latent
 * @property {number[] | null} image height, width, channels; null where none is known
 */

/** The free sizes of a header: how many, in `dims` and in `image`. */
export function countFree({ dims, image }) {
  const nDims = dims.filter((n) => n === 0).length;
  return { nDims, nImage: image && image[0] === 0 ? 2 : 0 };
}

/** Bytes of one entry of a SIZE. */
export function entryBytes(header) {
  const { nDims, nImage } = countFree(header);
  return 4 + 4 * (nDims + nImage);
}

/** Shape of latent and image where the free sizes are these. */
function filled({ dims, image }, free) {
  let i = 0;
  const fill = (size) => (size === 0 ? free[i++] : size);
  const latent = dims.map(fill);
  return { dims: latent, image: image ? image.slice(0, 3).map(fill) : null };
}

/** One entry for rows whose sizes are those of the header. @returns {Sizes[]} */
export function fixedSizes(header, n) {
  return [{ n, free: [], ...filled(header, []) }];
}

/**
 * The entries of a SIZE payload: C5-5 to C5-8.
 * @param {Uint8Array} payload @param {number} nRows @param {number} at byte of the payload
 * @returns {Sizes[]}
 */
export function readSizes(payload, header, nRows, at) {
  const step = entryBytes(header), n = payload.length / step;
  const entries = Array.from({ length: n }, (_, i) =>
    Array.from({ length: step / 4 }, (_, k) => u32(payload, i * step + 4 * k)));
  checkCounts(entries, nRows, at, step);
  const same = entries.findIndex((entry, i) => i > 0 && entry.slice(1).every((size, k) => size === entries[i - 1][k + 1]));
  if (same >= 0) throw new AefError("C5-6", "structure", at + same * step, "an entry with the sizes of the one before it");
  checkEach(entries, header, at, step);
  const sizes = entries.map(([rows, ...free]) => ({ n: rows, free, ...filled(header, free) }));
  const large = sizes.findIndex((entry) => isTooLarge(entry, header));
  if (large >= 0) throw new AefError("C5-8", "limit", at + large * step, "a row or an image that is too large");
  return sizes;
}

function checkCounts(entries, nRows, at, step) {
  let sum = 0;
  const wrong = entries.findIndex(([n]) => n === 0 || (sum += n) > nRows);
  if (wrong < 0 && sum === nRows) return;
  throw new AefError("C5-5", "structure", at + (wrong < 0 ? entries.length - 1 : wrong) * step, `the entries are not for ${nRows} rows`);
}

function checkEach(entries, header, at, step) {
  const { nDims } = countFree(header);
  entries.forEach((entry, i) => entry.slice(1).forEach((size, k) => {
    if (size >= 1 && size <= (k < nDims ? 2147483647 : 65535)) return;
    throw new AefError("C5-7", size ? "limit" : "structure", at + i * step + 4 + 4 * k, `a size of ${size}`);
  }));
}

function isTooLarge({ dims, image }, { encoding }) {
  return product(dims) * ENCODINGS[encoding].bytes > ROW_BYTES || (image !== null && product(image) > IMAGE_ELEMENTS);
}

/** Values of all rows of some entries. @param {Sizes[]} sizes */
export function countValues(sizes) {
  return sizes.reduce((sum, { n, dims }) => sum + n * product(dims), 0);
}

/** Each row's sizes, one after the other. @param {Sizes[]} sizes @returns {Generator<Sizes>} */
export function* eachRow(sizes) {
  for (const entry of sizes) for (let i = 0; i < entry.n; i++) yield entry;
}

/** The sizes of rows `from` to `to - 1` alone. @param {Sizes[]} sizes @returns {Sizes[]} */
export function cutSizes(sizes, from, to) {
  const out = [];
  let at = 0;
  for (const entry of sizes) {
    const n = Math.min(at + entry.n, to) - Math.max(at, from);
    if (n > 0) out.push({ ...entry, n });
    at += entry.n;
  }
  return out;
}

/** Rows of each run of receipts, one run after the other. @param {Sizes[]} sizes @returns {Generator<number>} */
export function* runsOf(sizes, header) {
  const hasFreeImages = countFree(header).nImage > 0;
  let rows = 0, pixels = 0;
  for (const { n, image } of sizes) {
    const each = hasFreeImages ? image[0] * image[1] : 0;
    for (let left = n; left > 0; ) {
      const fits = each ? Math.max(Math.floor((RUN_PIXELS - pixels) / each), rows ? 0 : 1) : RUN_ROWS;
      const take = Math.min(left, RUN_ROWS - rows, fits);
      if (!take) yield rows, (rows = 0), (pixels = 0);
      rows += take, pixels += take * each, left -= take;
    }
  }
  if (rows) yield rows;
}

/** How many runs there are; counts no further than `most` + 1. */
export function countRuns(sizes, header, most) {
  let n = 0;
  for (const run of runsOf(sizes, header)) if (run && ++n > most) break;
  return n;
}
