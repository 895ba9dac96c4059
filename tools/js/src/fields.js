/**
 * Fields of rows (spec/container.md, section 22): the head of a payload, its columns, and what they hold for some rows.
 */

import { AefError } from "./errors.js";
import { equal, join, u32 } from "./bytes.js";
import { columnAt, FIELD_TYPES } from "./columns.js";
import { compareBytes, decodeMap, NotCanonical } from "./msgpack.js";

const HEAD_BYTES = 65536;
const FIELDS = 256;
const NAME_BYTES = 256;
const SIZES = 8;
const LARGEST_SIZE = 2147483647;
const DEPTH = 2;
const UTF8 = new TextEncoder();

/** @typedef {import("./columns.js").FieldType & {name: string}} Field */

/** C22-3. @returns {Uint8Array} */
function headOf(raw, fail) {
  const n = raw.length < 4 ? 0 : u32(raw, 0);
  if (n < 1 || n > HEAD_BYTES) fail("C22-3", `a head of fields of ${n} bytes`);
  if (4 + n > raw.length) fail("C22-3", "the payload ends inside the head of fields");
  return raw.slice(4, 4 + n);
}

/** C22-3 and C22-4. @returns {Field[]} in the order of the map */
function readHead(head, fail) {
  const map = parse(head, fail), names = inOrder(Object.keys(map));
  if (names.length < 1 || names.length > FIELDS) fail("C22-4", `${names.length} fields`);
  for (const name of names) {
    if (!isName(name)) fail("C22-4", `a field with the name ${JSON.stringify(name)}`);
    if (!isType(map[name])) fail("C22-4", `the field ${JSON.stringify(name)} has no type that there is`);
  }
  return names.map((name) => ({ name, type: map[name][0], sizes: map[name].slice(1) }));
}

function parse(head, fail) {
  try {
    return decodeMap(head, DEPTH);
  } catch (error) {
    if (error instanceof NotCanonical) fail("C22-3", error.message);
    throw error;
  }
}

/** Keys in the order of their UTF-8 bytes: an object has those that look like numbers first. */
function inOrder(names) {
  const pairs = names.map((name) => [name, UTF8.encode(name)]);
  return pairs.sort(([, a], [, b]) => compareBytes(a, b)).map(([name]) => name);
}

function isName(name) {
  const n = UTF8.encode(name).length;
  return n >= 1 && n <= NAME_BYTES && !/[\u0000-\u001f\u007f]/.test(name);
}

function isType(value) {
  if (!Array.isArray(value)) return false;
  const [type, ...sizes] = value;
  if (typeof type !== "string" || !Object.hasOwn(FIELD_TYPES, type)) return false;
  const isSize = (size) => Number.isInteger(size) && size >= 1 && size <= LARGEST_SIZE;
  return sizes.length <= (FIELD_TYPES[type].bytes ? SIZES : 0) && sizes.every(isSize);
}

/** C22-6, then C22-7. */
function readColumns(raw, at, nRows, fields, fail) {
  const columns = [];
  for (const field of fields) {
    const column = columnAt(raw, columns.at(-1)?.end ?? at, nRows, field);
    if (!column.fits) fail("C22-6", `the payload ends inside the field ${JSON.stringify(field.name)}`);
    columns.push(column);
  }
  if (columns.at(-1).end !== raw.length) fail("C22-6", "bytes behind the last field");
  const bad = columns.findIndex((column) => !column.isValid());
  if (bad >= 0) fail("C22-7", `the field ${JSON.stringify(fields[bad].name)} has a ${fields[bad].type} that is none`);
  return columns;
}

/** The fields of the rows of one chunk. */
export class RowFields {
  /** @param {Field[]} fields @param {ReturnType<typeof columnAt>[]} columns */
  constructor(fields, columns) {
    Object.assign(this, { fields, columns });
  }

  /** One field of rows `from` to `to - 1`; null where no field has the name. */
  one(name, from, to) {
    const i = this.fields.findIndex((field) => field.name === name);
    return i < 0 ? null : this.#cut(i, from, to);
  }

  /** All fields of rows `from` to `to - 1`, by name. */
  all(from, to) {
    return byName(this.fields.map(({ name }, i) => [name, this.#cut(i, from, to)]));
  }

  /** Type and sizes of each field, by name. */
  types() {
    return byName(this.fields.map(({ name, type, sizes }) => [name, { type, sizes }]));
  }

  #cut(i, from, to) {
    const { type, sizes } = this.fields[i];
    return { type, sizes, values: this.columns[i].cut(from, to) };
  }
}

/** Reads the fields of one file, and knows the head that all of them have. */
export class FieldsReader {
  /**
   * C22-3 to C22-7.
   * @param {Uint8Array} raw @param {number} nRows @param {number} at byte of the payload
   */
  read(raw, nRows, at) {
    const fail = (rule, what) => {
      throw new AefError(rule, "fields", at, what);
    };
    const head = headOf(raw, fail), isSame = this.head !== undefined && equal(head, this.head);
    const fields = isSame ? this.fields : readHead(head, fail);
    if (this.head !== undefined && !isSame) fail("C22-5", "fields that are not those of the rows before");
    Object.assign(this, { head, fields });
    return new RowFields(fields, readColumns(raw, 4 + head.length, nRows, fields, fail));
  }
}

/** A map that any name fits. @param {[string, any][]} pairs */
function byName(pairs) {
  const out = Object.create(null);
  for (const [name, value] of pairs) out[name] = value;
  return out;
}

/** One column of those of several chunks, in their order. */
export function joinColumns(columns) {
  const parts = columns.map(({ values }) => values);
  return { ...columns[0], values: Array.isArray(parts[0]) ? parts.flat() : join(parts) };
}

/** All fields of several chunks; null where there are none. @param {Record<string, any>[]} parts */
export function joinFields(parts) {
  if (!parts.length) return null;
  return byName(Object.keys(parts[0]).map((name) => [name, joinColumns(parts.map((part) => part[name]))]));
}
