/**
 * Canonical msgpack (spec/container.md, section 3.1): one walk over the tokens finds the first that is wrong.
 *
 * Maps become objects without a prototype, binary strings Uint8Array, integers numbers (at most 2^53 - 1).
 */

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UTF8 = new TextEncoder();
const LARGEST = BigInt(Number.MAX_SAFE_INTEGER);

/** A token breaks a rule of section 3.1.  Whoever called says which byte and code that is. */
export class NotCanonical extends Error {
  /** @param {string} rule @param {number} offset @param {string} what */
  constructor(rule, offset, what) {
    super(what);
    this.rule = rule;
    this.offset = offset;
  }
}

/** First byte -> [kind, bytes of the number or length field, least number that needs this form]. */
const FORMS = new Map([
  [0xc2, ["bool"]], [0xc3, ["bool"]],
  [0xc4, ["bin", 1, 0]], [0xc5, ["bin", 2, 256]], [0xc6, ["bin", 4, 65536]],
  [0xcc, ["uint", 1, 128]], [0xcd, ["uint", 2, 256]], [0xce, ["uint", 4, 65536]], [0xcf, ["uint", 8, 2 ** 32]],
  [0xd0, ["int", 1, -32]], [0xd1, ["int", 2, -128]], [0xd2, ["int", 4, -32768]], [0xd3, ["int", 8, -(2 ** 31)]],
  [0xd9, ["str", 1, 32]], [0xda, ["str", 2, 256]], [0xdb, ["str", 4, 65536]],
  [0xdc, ["array", 2, 16]], [0xdd, ["array", 4, 65536]],
  [0xde, ["map", 2, 16]], [0xdf, ["map", 4, 65536]],
]);

/** Kind and number of a first byte that holds its number itself; undefined for the others. */
function short(byte) {
  if (byte < 0x80) return ["uint", byte];
  if (byte < 0x90) return ["map", byte & 15];
  if (byte < 0xa0) return ["array", byte & 15];
  if (byte < 0xc0) return ["str", byte & 31];
  if (byte >= 0xe0) return ["int", byte - 256];
  return undefined;
}

class Walk {
  constructor(bytes, depth) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    this.depth = depth;
  }

  fail(rule, offset, what) {
    throw new NotCanonical(rule, offset, what);
  }

  /** The number of a field of `size` bytes; null if it is no integer that a double holds. */
  field(kind, size) {
    const at = this.at + 1;
    if (size === 1) return kind === "int" ? this.view.getInt8(at) : this.view.getUint8(at);
    if (size === 2) return kind === "int" ? this.view.getInt16(at) : this.view.getUint16(at);
    if (size === 4) return kind === "int" ? this.view.getInt32(at) : this.view.getUint32(at);
    return kind === "int" ? this.view.getBigInt64(at) : this.view.getBigUint64(at);
  }

  /** The head of a token: checks 1 to 5 of section 3.1. @returns {[string, number]} kind and number */
  head() {
    const at = this.at, byte = this.bytes[at];
    if (at >= this.bytes.length) this.fail("C3-1", at, "the bytes end before the map does");
    const own = short(byte);
    if (own) return this.at++, own;
    const form = FORMS.get(byte);
    if (!form) this.fail("C3-2", at, `a token of type 0x${byte.toString(16)}, which is not allowed`);
    const [kind, size = 0, least] = form;
    if (at + 1 + size > this.bytes.length) this.fail("C3-1", at, "the bytes end inside a number");
    if (kind === "bool") return this.at++, [kind, byte & 1];
    const n = this.field(kind, size);
    if (kind === "int" ? n >= least : n < least) this.fail("C3-3", at, "a number that has a shorter form");
    if (size === 8 && (n > LARGEST || n < -LARGEST)) this.fail("C3-2", at, "an integer beyond 2^53 - 1");
    this.at += 1 + size;
    return [kind, Number(n)];
  }

  /** The bytes of a string whose token began at `start`. */
  string(kind, n, start) {
    if (this.at + n > this.bytes.length) this.fail("C3-1", start, "the bytes end inside a string");
    const bytes = this.bytes.subarray(this.at, (this.at += n));
    if (kind === "bin") return bytes.slice();
    try {
      const text = TEXT.decode(bytes);
      if (!text.includes("\0")) return text;
    } catch {
      // not UTF-8: the same rule
    }
    return this.fail("C3-2", start, "a string that is not UTF-8 without NUL");
  }

  /** Any value whose own level is `level`. */
  value(level) {
    const start = this.at;
    const [kind, n] = this.head();
    if (kind === "str" || kind === "bin") return this.string(kind, n, start);
    if (kind !== "map" && kind !== "array") return kind === "bool" ? n === 1 : n;
    const items = kind === "map" ? 2 * n : n;
    if (items > this.bytes.length - this.at) this.fail("C3-1", start, `${items} items announced, more than there are bytes`);
    if (level > this.depth) this.fail("C3-5", start, `nested deeper than ${this.depth}`);
    return kind === "map" ? this.map(n, level) : Array.from({ length: n }, () => this.value(level + 1));
  }

  map(n, level) {
    const out = Object.create(null);
    let before = null;
    for (let i = 0; i < n; i++) {
      const start = this.at;
      const [kind, length] = this.head();
      if (kind !== "str") this.fail("C3-4", start, "a map key that is not a string");
      const from = this.at;
      const key = this.string(kind, length, start);
      const raw = this.bytes.subarray(from, this.at);
      if (before && compareBytes(before, raw) >= 0) this.fail("C3-4", start, `the key "${key}" is not greater than the one before it`);
      before = raw;
      out[key] = this.value(level + 1);
    }
    return out;
  }
}

/** Like memcmp. @param {Uint8Array} a @param {Uint8Array} b */
export function compareBytes(a, b) {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/**
 * The one map that the bytes are.
 * @param {Uint8Array} bytes
 * @param {number} depth levels that may be nested; the map itself is one
 * @returns {Record<string, any>}
 * @throws {NotCanonical}
 */
export function decodeMap(bytes, depth) {
  const walk = new Walk(bytes, depth);
  const first = bytes[0];
  const isMap = (first >= 0x80 && first <= 0x8f) || first === 0xde || first === 0xdf;
  if (bytes.length && !isMap) walk.fail("C3-1", 0, "not a map");
  const map = walk.value(1);
  if (walk.at < bytes.length) walk.fail("C3-1", walk.at, "bytes behind the map");
  return map;
}

/** @param {any} value @returns {boolean} a map, as decodeMap makes them */
export function isMap(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** The canonical bytes of a map of strings, binary strings, lists and integers of 0 to 2^32 - 1. */
export function encodeMap(map) {
  const out = [];
  write(map, out);
  return Uint8Array.from(out);
}

/** A head whose number stands in the first byte up to `most`, then in fields of 1, 2 and 4 bytes. */
function head(n, fixed, most, first, sizes, out) {
  if (n <= most) return void out.push(fixed | n);
  const k = sizes.findIndex((size) => n < 256 ** size);
  out.push(first + k);
  for (let i = sizes[k] - 1; i >= 0; i--) out.push(Math.floor(n / 256 ** i) % 256);
}

function write(value, out) {
  if (typeof value === "number") return head(value, 0, 127, 0xcc, [1, 2, 4], out);
  if (typeof value === "string") {
    const bytes = UTF8.encode(value);
    head(bytes.length, 0xa0, 31, 0xd9, [1, 2, 4], out);
    return out.push(...bytes);
  }
  if (value instanceof Uint8Array) return head(value.length, 0, -1, 0xc4, [1, 2, 4], out), out.push(...value);
  if (Array.isArray(value)) {
    head(value.length, 0x90, 15, 0xdc, [2, 4], out);
    return value.forEach((entry) => write(entry, out));
  }
  const keys = Object.keys(value).sort();
  head(keys.length, 0x80, 15, 0xde, [2, 4], out);
  return keys.forEach((key) => (write(key, out), write(value[key], out)));
}
