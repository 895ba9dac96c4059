/**
 * text19 (spec/container.md, section 5): cells of 26 characters, each the correctly rounded decimal of a binary64.
 */

import { AefError } from "./errors.js";

const CELL = 26;
const MINUS = 45, PLUS = 43, POINT = 46, E = 101, SPACE = 32, LF = 10;

/** Is the character at place `k` of a cell one that the grammar allows there? */
function fits(byte, k) {
  if (k === 0 || k === 22) return byte === PLUS || byte === MINUS;
  if (k === 2) return byte === POINT;
  if (k === 21) return byte === E;
  return byte >= 48 && byte <= 57;
}

/** The first place that the grammar forbids; -1 if there is none. */
function misfit(bytes, perRow) {
  for (let i = 0, cell = 0; i < bytes.length; i += CELL + 1, cell++) {
    for (let k = 0; k < CELL; k++) if (!fits(bytes[i + k], k)) return i + k;
    if (bytes[i + CELL] !== (cell % perRow === perRow - 1 ? LF : SPACE)) return i + CELL;
  }
  return -1;
}

/** Twice the digits of x at 20 places and a power of ten, against x itself: is x exactly between two decimals? */
function isTie(x, digits20, exponent) {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, x);
  const field = (bits.getUint32(0) >>> 20) & 2047;
  const mantissa = (bits.getBigUint64(0) & 0xfffffffffffffn) | (field ? 1n << 52n : 0n);
  const two = Math.max(field, 1) - 1075; // x = mantissa * 2^two
  const ten = exponent - 19; // the decimal is digits20 * 10^ten
  const left = mantissa * (two > 0 ? 1n << BigInt(two) : 1n) * (ten < 0 ? 10n ** BigInt(-ten) : 1n);
  const right = BigInt(digits20) * (two < 0 ? 1n << BigInt(-two) : 1n) * (ten > 0 ? 10n ** BigInt(ten) : 1n);
  return left === right;
}

/**
 * The cell of a finite number, ties to even as C5-2 wants.  `toExponential` rounds them up, so a tie is looked for apart.
 * @param {number} x
 */
export function cellOf(x) {
  const size = Math.abs(x);
  let [digits, exponent] = size.toExponential(18).split("e");
  const [longer, power] = size.toExponential(19).split("e");
  if (longer.endsWith("5") && /[02468]5$/.test(longer) && isTie(size, longer.replace(".", ""), Number(power))) {
    [digits, exponent] = [longer.slice(0, -1), power];
  }
  const sign = x < 0 || Object.is(x, -0) ? "-" : "+";
  return `${sign}${digits}e${exponent[0]}${exponent.slice(1).padStart(3, "0")}`;
}

/**
 * The numbers of whole rows: C5-1 and C5-2.  What reads as infinity comes out as infinity, for C5-3.
 * @param {Uint8Array} bytes raw payload
 * @param {number[]} perRows cells in a row: one number for all rows, or one for each
 * @param {(i: number, offset?: number) => number} place the byte of the file of character `offset` of cell i
 * @returns {Float64Array}
 */
export function readText(bytes, perRows, place) {
  checkGrammar(bytes, perRows, place);
  const text = new TextDecoder("latin1").decode(bytes);
  const out = new Float64Array(bytes.length / (CELL + 1));
  let wrong = -1;
  for (let i = 0; i < out.length; i++) {
    const cell = text.substr(i * (CELL + 1), CELL);
    out[i] = Number(cell);
    if (wrong < 0 && Number.isFinite(out[i]) && cell !== cellOf(out[i])) wrong = i;
  }
  if (wrong >= 0) throw new AefError("C5-2", "value", place(wrong), `cell ${wrong} is not the decimal of the number it reads as`);
  return out;
}

function checkGrammar(bytes, perRows, place) {
  let at = 0;
  const wrong = (k) => {
    if (k < 0) return;
    const cell = Math.floor((at + k) / (CELL + 1));
    throw new AefError("C5-1", "value", place(cell, (at + k) % (CELL + 1)), "a character that text19 does not allow here");
  };
  if (perRows.length === 1) return wrong(misfit(bytes, perRows[0]));
  for (const perRow of perRows) {
    const end = at + perRow * (CELL + 1);
    wrong(misfit(bytes.subarray(at, end), perRow));
    at = end;
  }
}
