/**
 * Little-endian numbers and byte strings.  Counts of 64 bits are BigInt: doubles end at 2^53.
 */

/** @param {Uint8Array} b @param {number} at */
export function u16(b, at) {
  return b[at] | (b[at + 1] << 8);
}

/** @param {Uint8Array} b @param {number} at */
export function u32(b, at) {
  return (b[at] | (b[at + 1] << 8) | (b[at + 2] << 16) | (b[at + 3] << 24)) >>> 0;
}

/** @param {Uint8Array} b @param {number} at @returns {bigint} */
export function u64(b, at) {
  return (BigInt(u32(b, at + 4)) << 32n) | BigInt(u32(b, at));
}

/** Bytes of unsigned 32-bit numbers, one behind the other. @param {number[]} numbers */
export function le32(...numbers) {
  const out = new Uint8Array(4 * numbers.length);
  const view = new DataView(out.buffer);
  numbers.forEach((n, i) => view.setUint32(4 * i, n, true));
  return out;
}

/** @param {Uint8Array} a @param {Uint8Array} b */
export function equal(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** @param {Uint8Array[]} pieces */
export function concat(pieces) {
  const out = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** Typed arrays of one type as one. @param {any[]} parts */
export function join(parts) {
  if (parts.length === 1) return parts[0];
  if (!parts.length) return new Uint8Array(0);
  const out = new parts[0].constructor(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text @returns {Uint8Array} */
export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The bytes of a typed array, without a copy. @param {ArrayBufferView} array */
export function bytesOf(array) {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Does this machine store the low byte first, as the format does? */
export const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bytes, with the order in each number turned round where the machine's is not the file's. */
export function littleEndian(bytes, size) {
  if (LITTLE || size === 1) return bytes;
  const out = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i += size) for (let k = 0; k < size; k++) out[i + k] = bytes[i + size - 1 - k];
  return out;
}

/** A typed array of its own from little-endian bytes. @param {Uint8Array} bytes @param {*} Type */
export function toArray(bytes, Type) {
  const own = littleEndian(bytes, Type.BYTES_PER_ELEMENT);
  return new Type(new Uint8Array(own).buffer);
}

/** The product; Infinity cannot come out as a small number, so a check against a limit holds. @param {Iterable<number>} sizes */
export function product(sizes) {
  let n = 1;
  for (const size of sizes) n *= size;
  return n;
}
