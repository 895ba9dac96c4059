/**
 * SHA-256 (FIPS 180-4), fed piece by piece.  WebCrypto takes one piece only, and makes every caller asynchronous.
 */

const K = new Int32Array(64);
const START = new Int32Array(8);

/** The fractions of roots of the first primes are the constants of the standard. */
function fillConstants() {
  const fraction = (x) => ((x - Math.floor(x)) * 4294967296) | 0;
  let n = 0;
  for (let p = 2; n < 64; p++) {
    let isPrime = true;
    for (let d = 2; d * d <= p; d++) if (p % d === 0) isPrime = false;
    if (!isPrime) continue;
    if (n < 8) START[n] = fraction(Math.sqrt(p));
    K[n++] = fraction(Math.cbrt(p));
  }
}
fillConstants();

const W = new Int32Array(64);

/** One block of 64 bytes. @param {Int32Array} h @param {Uint8Array} data @param {number} at */
function compress(h, data, at) {
  for (let i = 0, p = at; i < 16; i++, p += 4) {
    W[i] = (data[p] << 24) | (data[p + 1] << 16) | (data[p + 2] << 8) | data[p + 3];
  }
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], q = h[7];
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (q + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    q = g, g = f, f = e, e = (d + t1) | 0, d = c, c = b, b = a, a = (t1 + t2) | 0;
  }
  h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += q;
}

/** A digest that grows. */
export class Sha256 {
  constructor() {
    this.h = START.slice();
    this.rest = new Uint8Array(64);
    this.nRest = 0;
    this.n = 0;
  }

  /** @param {Uint8Array} data @returns {this} */
  update(data) {
    let at = 0;
    this.n += data.length;
    if (this.nRest) {
      at = Math.min(64 - this.nRest, data.length);
      this.rest.set(data.subarray(0, at), this.nRest);
      this.nRest += at;
      if (this.nRest < 64) return this;
      compress(this.h, this.rest, 0);
      this.nRest = 0;
    }
    for (; at + 64 <= data.length; at += 64) compress(this.h, data, at);
    this.rest.set(data.subarray(at));
    this.nRest = data.length - at;
    return this;
  }

  /** @returns {Uint8Array} 32 bytes; nothing can be added behind */
  digest() {
    const nBits = this.n * 8;
    const end = new Uint8Array(this.nRest < 56 ? 64 - this.nRest : 128 - this.nRest);
    end[0] = 128;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(nBits / 4294967296));
    view.setUint32(end.length - 4, nBits >>> 0);
    this.update(end);
    const out = new Uint8Array(32);
    const digest = new DataView(out.buffer);
    this.h.forEach((word, i) => digest.setInt32(4 * i, word));
    return out;
  }
}

/** @param {Uint8Array[]} pieces */
export function sha256(...pieces) {
  const digest = new Sha256();
  for (const piece of pieces) digest.update(piece);
  return digest.digest();
}
