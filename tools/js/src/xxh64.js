/**
 * The lower half of XXH64 with seed 0: the content checksum of a zstd frame, which `fzstd` does not check.
 *
 * A number of 64 bits is two halves, `hi` and `lo`; BigInt would take a hundred times as long.
 */

const P1 = [0x9e3779b1, 0x85ebca87]; // hi, lo
const P2 = [0xc2b2ae3d, 0x27d4eb4f];
const P3 = [0x165667b1, 0x9e3779f9];
const P4 = [0x85ebca77, 0xc2b2ae63];
const P5 = [0x27d4eb2f, 0x165667c5];

let hi = 0; // of the last result; its lower half is what a function returns

/** a * b mod 2^64. */
function mul(ah, al, bh, bl) {
  const a0 = al & 0xffff, a1 = al >>> 16, b0 = bl & 0xffff, b1 = bl >>> 16;
  const p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0;
  const middle = (p00 >>> 16) + (p01 & 0xffff) + (p10 & 0xffff);
  const high = a1 * b1 + (p01 >>> 16) + (p10 >>> 16) + (middle >>> 16);
  hi = (high + Math.imul(ah, bl) + Math.imul(al, bh)) | 0;
  return ((middle << 16) | (p00 & 0xffff)) | 0;
}

/** a + b mod 2^64. */
function add(ah, al, bh, bl) {
  const low = (al >>> 0) + (bl >>> 0);
  hi = (ah + bh + (low > 0xffffffff ? 1 : 0)) | 0;
  return low | 0;
}

/** Rotated left by n bits, 0 < n < 64, n not 32. */
function rotate(h, l, n) {
  if (n > 32) return rotate(l, h, n - 32);
  hi = (h << n) | (l >>> (32 - n));
  return (l << n) | (h >>> (32 - n));
}

const word = (b, i) => b[i] | (b[i + 1] << 8) | (b[i + 2] << 16) | (b[i + 3] << 24);

/** acc = rotate(acc + input * P2, 31) * P1, on lane `i` of `acc`. */
function step(acc, i, inHi, inLo) {
  let low = mul(inHi, inLo, P2[0], P2[1]);
  low = add(acc[2 * i], acc[2 * i + 1], hi, low);
  low = rotate(hi, low, 31);
  acc[2 * i + 1] = mul(hi, low, P1[0], P1[1]);
  acc[2 * i] = hi;
}

/** The four lanes put together. */
function converge(acc) {
  let h = 0, l = 0;
  [1, 7, 12, 18].forEach((n, i) => {
    const low = rotate(acc[2 * i], acc[2 * i + 1], n);
    l = add(h, l, hi, low), h = hi;
  });
  const one = new Int32Array(2);
  for (let i = 0; i < 4; i++) {
    one.fill(0);
    step(one, 0, acc[2 * i], acc[2 * i + 1]);
    l = mul(h ^ one[0], l ^ one[1], P1[0], P1[1]), h = hi;
    l = add(h, l, P4[0], P4[1]), h = hi;
  }
  return [h, l];
}

/** x ^= x >>> n, for n of 1 to 63 but 32. */
function fold(h, l, n) {
  if (n > 32) return [h, l ^ (h >>> (n - 32))];
  return [h ^ (h >>> n), l ^ ((l >>> n) | (h << (32 - n)))];
}

/** What fewer than 32 bytes at the end add. */
function tail(data, at, h, l) {
  const one = new Int32Array(2);
  for (; at + 8 <= data.length; at += 8) {
    one.fill(0);
    step(one, 0, word(data, at + 4), word(data, at));
    l = rotate(h ^ one[0], l ^ one[1], 27), h = hi;
    l = mul(h, l, P1[0], P1[1]), l = add(hi, l, P4[0], P4[1]), h = hi;
  }
  if (at + 4 <= data.length) {
    const low = mul(0, word(data, at), P1[0], P1[1]);
    l = rotate(h ^ hi, l ^ low, 23), h = hi;
    l = mul(h, l, P2[0], P2[1]), l = add(hi, l, P3[0], P3[1]), h = hi;
    at += 4;
  }
  for (; at < data.length; at++) {
    const low = mul(0, data[at], P5[0], P5[1]);
    l = rotate(h ^ hi, l ^ low, 11), h = hi;
    l = mul(h, l, P1[0], P1[1]), h = hi;
  }
  return [h, l];
}

/** @param {Uint8Array} data @returns {number} the lower 32 bits, unsigned */
export function xxh64low(data) {
  let h = P5[0], l = P5[1], at = 0;
  if (data.length >= 32) {
    const acc = new Int32Array(8);
    const sum = add(P1[0], P1[1], P2[0], P2[1]);
    acc.set([hi, sum, P2[0], P2[1], 0, 0, ~P1[0], -P1[1]]);
    for (; at + 32 <= data.length; at += 32) {
      for (let i = 0; i < 4; i++) step(acc, i, word(data, at + 8 * i + 4), word(data, at + 8 * i));
    }
    [h, l] = converge(acc);
  }
  l = add(h, l, 0, data.length), h = hi;
  [h, l] = tail(data, at, h, l);
  [h, l] = fold(h, l, 33);
  l = mul(h, l, P2[0], P2[1]), [h, l] = fold(hi, l, 29);
  l = mul(h, l, P3[0], P3[1]), h = hi;
  return (l ^ h) >>> 0; // x ^= x >>> 32
}
