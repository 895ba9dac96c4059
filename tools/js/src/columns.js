/**
 * Columns of fields (spec/container.md, section 22): where each lies in its payload, and the values of some of its rows.
 */

import { product, toArray, u32 } from "./bytes.js";
import { halves } from "./encodings.js";

const NO_VALUE = 4294967295;
const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const PIECE = 65536; // bytes of text that are checked at a time

/** Type of a field -> bytes of a number, 0 where each value states its own length, and the values of bytes. */
export const FIELD_TYPES = {
  int8: { bytes: 1, read: arrayOf(Int8Array) },
  int16: { bytes: 2, read: arrayOf(Int16Array) },
  int32: { bytes: 4, read: arrayOf(Int32Array) },
  int64: { bytes: 8, read: arrayOf(BigInt64Array) },
  uint8: { bytes: 1, read: arrayOf(Uint8Array) },
  uint16: { bytes: 2, read: arrayOf(Uint16Array) },
  uint32: { bytes: 4, read: arrayOf(Uint32Array) },
  uint64: { bytes: 8, read: arrayOf(BigUint64Array) },
  float16: { bytes: 2, read: halves },
  float32: { bytes: 4, read: arrayOf(Float32Array) },
  float64: { bytes: 8, read: arrayOf(Float64Array) },
  bool: { bytes: 1, read: (raw) => Array.from(raw, (byte) => byte === 1) },
  text: { bytes: 0, read: (raw) => TEXT.decode(raw) },
  bytes: { bytes: 0, read: (raw) => Uint8Array.from(raw) },
};

function arrayOf(Type) {
  return (raw) => toArray(raw, Type);
}

/**
 * A field as the head declares it.
 * @typedef {object} FieldType
 * @property {string} type a key of FIELD_TYPES
 * @property {number[]} sizes of the numbers of one row; none for one number
 */

/** As many numbers for each row. */
class NumberColumn {
  constructor(raw, at, nRows, { type, sizes }) {
    Object.assign(this, { raw, at, type, each: product(sizes) * FIELD_TYPES[type].bytes });
    this.end = at + nRows * this.each; // an inexact product is far behind the end of any payload
    this.fits = this.end <= raw.length;
  }

  /** C22-7. */
  isValid() {
    return this.type !== "bool" || this.raw.subarray(this.at, this.end).every((byte) => byte <= 1);
  }

  /** The values of rows `from` to `to - 1`, row after row. */
  cut(from, to) {
    return FIELD_TYPES[this.type].read(this.raw.subarray(this.at + from * this.each, this.at + to * this.each));
  }
}

/** Texts or byte strings: all lengths, then all values. */
class StringColumn {
  constructor(raw, at, nRows, { type }) {
    Object.assign(this, { raw, at, nRows, type, end: at + 4 * nRows });
    this.fits = this.end <= raw.length && this.#findStarts();
  }

  /** Where each value begins; false where they go beyond the payload. */
  #findStarts() {
    this.starts = new Uint32Array(this.nRows + 1);
    for (let i = 0; i < this.nRows; i++) {
      this.starts[i] = this.end;
      this.end += this.#has(i) ? this.#length(i) : 0;
      if (this.end > this.raw.length) return false;
    }
    this.starts[this.nRows] = this.end;
    return true;
  }

  #length(i) {
    return u32(this.raw, this.at + 4 * i);
  }

  #has(i) {
    return this.#length(i) !== NO_VALUE;
  }

  /** C22-7: each text is UTF-8 if all together are and none begins inside a character. */
  isValid() {
    if (this.type !== "text") return true;
    const isInside = (start) => start < this.end && (this.raw[start] & 0xc0) === 0x80;
    return !this.starts.some(isInside) && isUtf8(this.raw.subarray(this.starts[0], this.end));
  }

  /** The values of rows `from` to `to - 1`; null for a row that has none. */
  cut(from, to) {
    const { read } = FIELD_TYPES[this.type];
    const value = (i) => (this.#has(i) ? read(this.raw.subarray(this.starts[i], this.starts[i + 1])) : null);
    return Array.from({ length: to - from }, (_, i) => value(from + i));
  }
}

/** @param {Uint8Array} bytes */
function isUtf8(bytes) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for (let at = 0; at < bytes.length; at += PIECE) decoder.decode(bytes.subarray(at, at + PIECE), { stream: true });
    decoder.decode();
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

/**
 * The column that begins at a byte of a payload; `fits` is false where the payload ends inside it.
 * @param {Uint8Array} raw @param {number} at @param {number} nRows @param {FieldType} field
 */
export function columnAt(raw, at, nRows, field) {
  const Column = FIELD_TYPES[field.type].bytes ? NumberColumn : StringColumn;
  return new Column(raw, at, nRows, field);
}
