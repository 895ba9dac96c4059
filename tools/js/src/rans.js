/**
 * Codec "rans" (spec/container.md, section 6.1): interleaved rANS under the prior of a decoder.
 */

import { AefError } from "./errors.js";
import { u16, u32 } from "./bytes.js";
import { rangeOf } from "./manifest.js";
import { nSymbols } from "./prior.js";

export const STEPS = 1048576;
export const STEPS_A_BYTE = 16;
const LEAST = 65536;

/** The error of a code. */
export function failCode(at) {
  return (rule, what, code = "compression") => {
    throw new AefError(rule, code, at, what);
  };
}

/** Lanes of a code, before it has been checked. @param {Uint8Array} code */
export function lanesOf(code) {
  return 2 ** code[0];
}

/** C6-7, and C6-9 and C6-10 of what follows. @param {number} most lanes */
export function checkLanes(code, most, fail) {
  if (code[0] > 10 || lanesOf(code) > most) fail("C6-7", `2^${code[0]} lanes for ${most} rows or values`);
}

/** C6-9 and C6-10. */
export function checkStates(code, fail) {
  const n = lanesOf(code);
  if (code.length < 1 + 4 * n || code.length % 2 === 0) fail("C6-9", "a code of that many bytes cannot be");
  for (let i = 0; i < n; i++) if (u32(code, 1 + 4 * i) < LEAST) fail("C6-10", `the state of lane ${i} is too small`);
}

/** Steps of a payload without passes. */
export function countSteps(nLanes, nRows, perRow) {
  return Math.ceil(nRows / nLanes) * (perRow + 1);
}

/** The states of the lanes, and the words. */
export class Lanes {
  /** @param {Uint8Array} code @param {number} bits */
  constructor(code, bits, fail) {
    this.code = code;
    this.n = lanesOf(code);
    this.states = Float64Array.from({ length: this.n }, (_, i) => u32(code, 1 + 4 * i));
    this.at = 1 + 4 * this.n;
    this.bits = bits;
    this.mask = 2 ** bits - 1;
    this.fail = fail;
  }

  /**
   * The next symbol of a lane.
   * @param {number} lane @param {Table} table
   */
  next(lane, table) {
    const x = this.states[lane];
    const slot = x & this.mask;
    const s = table.symbol[slot];
    let y = table.frequency[s] * Math.floor(x / (this.mask + 1)) + slot - table.before[s];
    if (y < LEAST) {
      if (this.at >= this.code.length) this.fail("C6-11", "the words do not last");
      y = y * 65536 + u16(this.code, this.at);
      this.at += 2;
    }
    this.states[lane] = y;
    return s;
  }

  /** What must hold behind the last symbol. */
  finish() {
    if (this.at !== this.code.length) this.fail("C6-11", "words are left over");
    if (this.states.some((x) => x !== LEAST)) this.fail("C6-12", "a lane does not end where it began");
  }
}

/** Frequencies with what stands before each symbol, and the symbol of every slot. */
export class Table {
  /** @param {ArrayLike<number>} frequency which sum to a power of two */
  constructor(frequency) {
    this.frequency = Float64Array.from(frequency);
    this.before = new Float64Array(frequency.length);
    let total = 0;
    for (let s = 0; s < frequency.length; s++) this.before[s] = total, (total += frequency[s]);
    this.symbol = new Uint16Array(total);
    for (let s = 0; s < frequency.length; s++) this.symbol.fill(s, this.before[s], this.before[s] + frequency[s]);
  }
}

/** The tables of a prior, made when they are first used. @param {{data: Int32Array, shape: number[]}} tables */
export function lazyTables({ data, shape: [t, n] }) {
  const made = new Array(t);
  return (i) => (made[i] ??= new Table(data.subarray(i * n, (i + 1) * n)));
}

/**
 * The values of a code without passes: C6-11 and C6-12.
 * @param {Uint8Array} code @param {any} pkg the decoder @param {number} nRows
 * @returns {Uint8Array} bytes of the values, rows one after the other
 */
export function decodeRows(code, pkg, nRows, fail) {
  const { manifest: { input, prior }, tensors } = pkg;
  const means = tensors[prior.means].data, picks = tensors[prior.picks].data;
  const tables = (pkg.tables ??= lazyTables(tensors[prior.tables])), classes = (pkg.classes ??= new Table(tensors[prior.classes].data));
  const [lo] = rangeOf(input), n = nSymbols(input), perRow = means.length / tensors[prior.classes].data.length;
  const lanes = new Lanes(code, prior.bits, fail);
  const out = new Uint8Array(nRows * perRow), from = new Int32Array(lanes.n);
  for (let first = 0; first < nRows; first += lanes.n) {
    const count = Math.min(lanes.n, nRows - first);
    for (let lane = 0; lane < count; lane++) from[lane] = lanes.next(lane, classes) * perRow;
    for (let d = 0; d < perRow; d++) for (let lane = 0; lane < count; lane++) {
      const k = from[lane] + d, s = lanes.next(lane, tables(picks[k])) + means[k];
      out[(first + lane) * perRow + d] = lo + (s >= n ? s - n : s);
    }
  }
  lanes.finish();
  return out;
}
