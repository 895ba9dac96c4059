/**
 * Matrix products in doubles: exact for integers, because no partial sum leaves 53 bits (spec/model.md, section 4).
 *
 * The bound of a layer is often far below 2^53.  Then two or three columns of weights share one double, a power of two apart, and
 * one multiplication makes two or three products.  Every partial sum stays below 2^53, so the columns come apart again exactly.
 */

const LANES = 2; // doubles of a row of weights that the inner loop takes at once
const ROWS = 4; // rows of the input that it takes at once
const BLOCKS = 4; // so many times four rows use a group of weights before the next one comes into the cache

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
    this.data = new Float64Array(this.nGroups * nRows * LANES);
    this.bias = new Float64Array(this.nGroups * LANES);
    this.width = this.nGroups * LANES * nPacked; // of a row of results, with what fills it up
    for (let column = 0; column < nColumns; column++) this.#put(column, weight, bias);
    this.blocks = Array.from({ length: BLOCKS }, () => ({ panel: new Float64Array(nRows * ROWS), index: new Int32Array(nRows), n: 0 }));
    this.sums = new Float64Array(ROWS * LANES);
    this.tile = new Float64Array(BLOCKS * ROWS * this.width);
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
    for (let i = 0; i < nBlocks; i++) gather(input, bases, ROWS * i, offsets, this.blocks[i]);
    for (let group = 0; group < this.nGroups; group++) {
      for (let i = 0; i < nBlocks; i++) this.#product(group, this.blocks[i], i * ROWS * this.width + group * LANES * this.nPacked);
    }
  }

  /** Eight sums, taken apart. @param {number} at their place in the tile */
  #product(group, block, at) {
    const { sums, tile, width, apart, nPacked } = this;
    sumUp(block, this.data, group * this.nRows * LANES, sums, this.bias[group * LANES], this.bias[group * LANES + 1]);
    if (nPacked === 1) copy(sums, tile, at, width);
    else if (nPacked === 2) splitTwo(sums, tile, at, width, apart);
    else splitThree(sums, tile, at, width, apart);
  }
}

/** Four rows side by side, without the numbers that are zero in all of them. */
function gather(input, bases, first, offsets, block) {
  const { panel, index } = block;
  const b0 = bases[first], b1 = bases[first + 1], b2 = bases[first + 2], b3 = bases[first + 3];
  let n = 0;
  for (let k = 0; k < offsets.length; k++) {
    const o = offsets[k];
    const x0 = input[b0 + o], x1 = input[b1 + o], x2 = input[b2 + o], x3 = input[b3 + o];
    if (x0 === 0 && x1 === 0 && x2 === 0 && x3 === 0) continue;
    const p = ROWS * n;
    panel[p] = x0, panel[p + 1] = x1, panel[p + 2] = x2, panel[p + 3] = x3;
    index[n++] = k;
  }
  block.n = n;
}

/** The inner loop: eight sums. */
function sumUp({ panel, index, n }, weights, base, sums, bias0, bias1) {
  let s00 = bias0, s01 = bias1, s10 = bias0, s11 = bias1, s20 = bias0, s21 = bias1, s30 = bias0, s31 = bias1;
  for (let k = 0, p = 0; k < n; k++, p += 4) {
    const w = base + 2 * index[k];
    const w0 = weights[w], w1 = weights[w + 1];
    const x0 = panel[p], x1 = panel[p + 1], x2 = panel[p + 2], x3 = panel[p + 3];
    s00 += x0 * w0, s01 += x0 * w1, s10 += x1 * w0, s11 += x1 * w1;
    s20 += x2 * w0, s21 += x2 * w1, s30 += x3 * w0, s31 += x3 * w1;
  }
  sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11, sums[4] = s20, sums[5] = s21, sums[6] = s30, sums[7] = s31;
}

function copy(sums, tile, at, width) {
  for (let r = 0; r < ROWS; r++) tile[r * width + at] = sums[2 * r], tile[r * width + at + 1] = sums[2 * r + 1];
}

function splitTwo(sums, tile, at, width, apart) {
  const inverse = 1 / apart;
  for (let r = 0, to = at; r < ROWS; r++, to += width) {
    const x = sums[2 * r], y = sums[2 * r + 1];
    const high = Math.floor(x * inverse + 0.5), higher = Math.floor(y * inverse + 0.5);
    tile[to] = x - high * apart;
    tile[to + 1] = high;
    tile[to + 2] = y - higher * apart;
    tile[to + 3] = higher;
  }
}

function splitThree(sums, tile, at, width, apart) {
  const inverse = 1 / apart;
  for (let i = 0; i < 8; i++) {
    const top = Math.floor(sums[i] * (inverse * inverse) + 0.5), rest = sums[i] - top * (apart * apart);
    const middle = Math.floor(rest * inverse + 0.5), to = (i >> 1) * width + at + 3 * (i & 1);
    tile[to] = rest - middle * apart;
    tile[to + 1] = middle;
    tile[to + 2] = top;
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
