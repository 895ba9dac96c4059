/**
 * Encodings (spec/container.md, section 5): payload -> values in the type that `values` names, and the bytes of the content id.
 */

import { AefError } from "./errors.js";
import { bytesOf, littleEndian, toArray, u16 } from "./bytes.js";
import { readText } from "./text19.js";

/** Value type -> bytes of a value, the array that holds it, and the numbers that it takes. f16 and bf16 are handed out as float32. */
export const TYPES = {
  f64: { bytes: 8, array: Float64Array, takes: () => true },
  f32: { bytes: 4, array: Float32Array, takes: (x) => Math.fround(x) === x },
  f16: { bytes: 2, array: Float32Array, takes: (x) => halfBits(x) >= 0 },
  bf16: { bytes: 2, array: Float32Array, takes: (x) => Math.fround(x) === x && (floatBits(x) & 0xffff) === 0 },
  u8: { bytes: 1, array: Uint8Array, takes: (x) => isWhole(x, 0, 255) },
  i8: { bytes: 1, array: Int8Array, takes: (x) => isWhole(x, -128, 127) },
  u16: { bytes: 2, array: Uint16Array, takes: (x) => isWhole(x, 0, 65535) },
};

const ANY = ["f64", "f32", "f16", "bf16", "u8", "i8", "u16"];

/** Encoding -> bytes a value, byte order, its own type, and what else `values` may be. */
export const ENCODINGS = {
  text19: { bytes: 27, order: "none", own: "f64", holds: ANY },
  f64le: { bytes: 8, order: "little", own: "f64", holds: ANY },
  f32le: { bytes: 4, order: "little", own: "f32", holds: ["f32", "f16", "bf16", "u8", "i8", "u16"] },
  f16le: { bytes: 2, order: "little", own: "f16", holds: ["f16", "u8", "i8"] },
  bf16le: { bytes: 2, order: "little", own: "bf16", holds: ["bf16", "u8", "i8"] },
  u8: { bytes: 1, order: "none", own: "u8", holds: ["u8"] },
  i8: { bytes: 1, order: "none", own: "i8", holds: ["i8"] },
  u16le: { bytes: 2, order: "little", own: "u16", holds: ["u16", "u8"] },
};

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

function isWhole(x, lo, hi) {
  return Number.isInteger(x) && x >= lo && x <= hi && !Object.is(x, -0);
}

function floatBits(x) {
  FLOAT[0] = x;
  return BITS[0];
}

/** The binary16 of a number; -1 if it has none. @param {number} x */
export function halfBits(x) {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (size === 0) return sign;
  const power = Math.max(Math.floor(Math.log2(size)), -14);
  for (const p of [power - 1, power, power + 1]) {
    const digits = size / 2 ** (p - 10); // 1,024 to 2,047, or less at the smallest power
    if (p < -14 || p > 15 || digits >= 2048 || (digits < 1024 && p > -14) || !Number.isInteger(digits)) continue;
    return sign | (digits < 1024 ? digits : ((p + 15) << 10) | (digits - 1024));
  }
  return -1;
}

/** The number of a binary16. @param {number} bits */
export function halfValue(bits) {
  const sign = bits & 0x8000 ? -1 : 1, e = (bits >> 10) & 31, digits = bits & 1023;
  if (e === 31) return digits ? NaN : sign * Infinity;
  return sign * (e ? (1024 + digits) * 2 ** (e - 25) : digits * 2 ** -24);
}

const HALVES = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) HALVES[bits] = halfValue(bits);

/** @param {Uint8Array} raw binary16, little-endian */
export function halves(raw) {
  return Float32Array.from({ length: raw.length / 2 }, (_, i) => HALVES[u16(raw, 2 * i)]);
}

function bfloats(raw) {
  const bits = Uint32Array.from({ length: raw.length / 2 }, (_, i) => u16(raw, 2 * i) << 16);
  return new Float32Array(bits.buffer);
}

/** The stored numbers in an array of the encoding's own type. */
function stored(raw, encoding, perRows, place) {
  if (encoding === "text19") return readText(raw, perRows, place);
  if (encoding === "f16le") return halves(raw);
  if (encoding === "bf16le") return bfloats(raw);
  return toArray(raw, TYPES[ENCODINGS[encoding].own].array);
}

/**
 * The values of a payload: C5-1 to C5-4.
 * @param {Uint8Array} raw
 * @param {{encoding: string, values: string}} header
 * @param {number[]} perRows values in a row: one number for all rows, or one for each
 * @param {number} at byte of the payload
 * @param {boolean} isCompressed then errors have the byte of the payload
 */
export function readValues(raw, { encoding, values }, perRows, at, isCompressed) {
  const { bytes, own } = ENCODINGS[encoding];
  const place = (i, offset = 0) => (isCompressed ? at : at + i * bytes + offset);
  const numbers = stored(raw, encoding, perRows, place);
  if (own.includes("f")) refuse(numbers, Number.isFinite, "C5-3", "not a finite number", place);
  if (values === own) return numbers;
  refuse(numbers, TYPES[values].takes, "C5-4", `not a number of type ${values}`, place);
  return TYPES[values].array.from(numbers);
}

function refuse(numbers, takes, rule, what, place) {
  for (let i = 0; i < numbers.length; i++) {
    if (!takes(numbers[i])) throw new AefError(rule, "value", place(i), `value ${i} (${numbers[i]}) is ${what}`);
  }
}

/**
 * The values as the content id takes them: little-endian, in their type.
 * @param {ArrayLike<number> & ArrayBufferView} values @param {string} type
 */
export function contentBytes(values, type) {
  if (type === "f16") return littleEndian(bytesOf(Uint16Array.from(values, halfBits)), 2);
  if (type === "bf16") return littleEndian(bytesOf(Uint16Array.from(values, (x) => floatBits(x) >>> 16)), 2);
  return littleEndian(bytesOf(values), TYPES[type].bytes);
}
