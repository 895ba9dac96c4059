/**
 * Matrix products in doubles: exact for integers, because no partial sum leaves 53 bits (spec/model.md, section 4).
 *
 * The bound of a layer is often far below 2^53.  Then two or three columns of weights share one double, a power of two apart, and
 * one multiplication makes two or three products.  Every partial sum stays below 2^53, so the columns come apart again exactly.
 */

const LANES = 2; // doubles of a row of weights that the inner loop takes at once
const ROWS = 4; // rows of the input that it takes at once
const BLOCKS = 4; // so many times four rows use a group of weights before the next one comes into the cache
const DEPTH = 1024; // products of one sum that are added in one go

// What the inner loop works on.  V8 makes it twice as fast where its arrays are always the same: their places and lengths are
// then numbers in its code.
const PANEL = new Float64Array(BLOCKS * ROWS * DEPTH);
const INDEX = new Int32Array(BLOCKS * DEPTH);
const WEIGHTS = new Float64Array(LANES * DEPTH);
const COUNTS = new Int32Array(BLOCKS);

/** How many columns fit into a double, and how far apart. @param {number} bound of each column's sum */
function packing(bound) {
  if (bound < 2 ** 17) return { nPacked: 3, apart: 2 ** 18 };
  return bound < 2 ** 25 ? { nPacked: 2, apart: 2 ** 26 } : { nPacked: 1, apart: 1 };
}

/** Weights in the order in which the inner loop takes them. */
export class Matrix {
  /**
   * @param {number} nRows numbers of the input for one output
   * @param {number} nColumns
   * @param {(row: number, column: number) => number} weight
   * @param {(column: number) => number} bias
   * @param {number} bound no sum of a column is larger; Infinity where the numbers are no integers
   */
  constructor(nRows, nColumns, weight, bias, bound) {
    const { nPacked, apart } = packing(bound);
    Object.assign(this, { nRows, nColumns, nPacked, apart });
    this.nGroups = Math.ceil(nColumns / (nPacked * LANES));
    this.nLanes = this.nGroups * LANES;
    this.data = new Float64Array(this.nGroups * nRows * LANES);
    this.bias = new Float64Array(this.nLanes);
    this.width = this.nLanes * nPacked; // of a row of results, with what fills it up
    for (let column = 0; column < nColumns; column++) this.#put(column, weight, bias);
    this.sums = new Float64Array(BLOCKS * ROWS * this.nLanes);
    this.tile = nPacked === 1 ? this.sums : new Float64Array(BLOCKS * ROWS * this.width);
  }

  #put(column, weight, bias) {
    const lane = Math.floor(column / this.nPacked), scale = this.apart ** (column % this.nPacked);
    const at = Math.floor(lane / LANES) * this.nRows * LANES + (lane % LANES);
    this.bias[lane] += bias(column) * scale;
    for (let row = 0; row < this.nRows; row++) this.data[at + row * LANES] += weight(row, column) * scale;
  }

  /**
   * Outputs at some places of the input: `this.tile` has a row of `width` for each.
   * @param {ArrayLike<number>} input @param {Int32Array} bases place of the first number of each
   * @param {Int32Array} offsets of each number from there @param {number} nBlocks of four places
   */
  multiply(input, bases, offsets, nBlocks) {
    for (let r = 0; r < ROWS * nBlocks; r++) this.sums.set(this.bias, r * this.nLanes);
    for (let first = 0; first < this.nRows; first += DEPTH) {
      const depth = Math.min(DEPTH, this.nRows - first);
      for (let i = 0; i < nBlocks; i++) gather(input, bases, i, offsets, first, depth);
      this.#products(first, depth, nBlocks);
    }
    if (this.nPacked === 2) splitTwo(this.sums, this.tile, ROWS * nBlocks * this.nLanes, this.apart);
    if (this.nPacked === 3) splitThree(this.sums, this.tile, ROWS * nBlocks * this.nLanes, this.apart);
  }

  /** Adds `depth` products to every sum. */
  #products(first, depth, nBlocks) {
    const { data, nRows, sums, nLanes } = this;
    for (let group = 0; group < this.nGroups; group++) {
      const at = (group * nRows + first) * LANES;
      WEIGHTS.set(data.subarray(at, at + LANES * depth));
      for (let i = 0; i < nBlocks; i++) sumUp(i, COUNTS[i], sums, i * ROWS * nLanes + group * LANES, nLanes);
    }
  }
}

/** Four rows side by side, without the numbers that are zero in all of them. */
function gather(input, bases, block, offsets, first, depth) {
  const b0 = bases[ROWS * block], b1 = bases[ROWS * block + 1], b2 = bases[ROWS * block + 2], b3 = bases[ROWS * block + 3];
  let n = 0;
  for (let k = 0; k < depth; k++) {
    const o = offsets[first + k];
    const x0 = input[b0 + o], x1 = input[b1 + o], x2 = input[b2 + o], x3 = input[b3 + o];
    if (x0 === 0 && x1 === 0 && x2 === 0 && x3 === 0) continue;
    const p = ROWS * (block * DEPTH + n);
    PANEL[p] = x0, PANEL[p + 1] = x1, PANEL[p + 2] = x2, PANEL[p + 3] = x3;
    INDEX[block * DEPTH + n++] = LANES * k;
  }
  COUNTS[block] = n;
}

/** The inner loop: eight sums. */
function sumUp(block, n, sums, at, nLanes) {
  let s00 = 0, s01 = 0, s10 = 0, s11 = 0, s20 = 0, s21 = 0, s30 = 0, s31 = 0;
  const first = block * DEPTH, end = first + n;
  for (let k = first; k < end; k++) {
    const w = INDEX[k], p = ROWS * k;
    const w0 = WEIGHTS[w], w1 = WEIGHTS[w + 1];
    const x0 = PANEL[p], x1 = PANEL[p + 1], x2 = PANEL[p + 2], x3 = PANEL[p + 3];
    s00 += x0 * w0, s01 += x0 * w1, s10 += x1 * w0, s11 += x1 * w1;
    s20 += x2 * w0, s21 += x2 * w1, s30 += x3 * w0, s31 += x3 * w1;
  }
  sums[at] += s00, sums[at + 1] += s01, at += nLanes;
  sums[at] += s10, sums[at + 1] += s11, at += nLanes;
  sums[at] += s20, sums[at + 1] += s21, at += nLanes;
  sums[at] += s30, sums[at + 1] += s31;
}

function splitTwo(sums, tile, n, apart) {
  const inverse = 1 / apart;
  for (let i = 0; i < n; i++) {
    const sum = sums[i], high = Math.floor(sum * inverse + 0.5);
    tile[2 * i] = sum - high * apart;
    tile[2 * i + 1] = high;
  }
}

function splitThree(sums, tile, n, apart) {
  const inverse = 1 / apart;
  for (let i = 0; i < n; i++) {
    const top = Math.floor(sums[i] * (inverse * inverse) + 0.5), rest = sums[i] - top * (apart * apart);
    const middle = Math.floor(rest * inverse + 0.5);
    tile[3 * i] = rest - middle * apart;
    tile[3 * i + 1] = middle;
    tile[3 * i + 2] = top;
  }
}

/** Some places at a time, of `count`: `place(m)` is where the numbers of output m begin, `write(m, tile, at)` takes its row. */
export function multiplyAll(matrix, input, offsets, count, place, write) {
  const many = BLOCKS * ROWS, bases = new Int32Array(many);
  for (let m = 0; m < count; m += many) {
    const n = Math.min(many, count - m), nBlocks = Math.ceil(n / ROWS);
    for (let r = 0; r < ROWS * nBlocks; r++) bases[r] = place(Math.min(m + r, count - 1));
    matrix.multiply(input, bases, offsets, nBlocks);
    for (let r = 0; r < n; r++) write(m + r, matrix.tile, r * matrix.width);
  }
}
