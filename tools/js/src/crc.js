/**
 * CRC-32 of zlib, gzip and PNG, eight bytes at a time.
 */

const TABLES = Array.from({ length: 8 }, () => new Uint32Array(256));
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  TABLES[0][n] = c;
}
for (let t = 1; t < 8; t++) {
  for (let n = 0; n < 256; n++) TABLES[t][n] = TABLES[0][TABLES[t - 1][n] & 255] ^ (TABLES[t - 1][n] >>> 8);
}
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES;

/**
 * The checksum of bytes that follow others.
 * @param {Uint8Array} data
 * @param {number} before checksum of what stands in front
 * @returns {number} unsigned
 */
export function crc32(data, before = 0) {
  let c = ~before;
  let i = 0;
  for (const end = data.length - 7; i < end; i += 8) {
    c ^= data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24);
    c =
      T7[c & 255] ^ T6[(c >>> 8) & 255] ^ T5[(c >>> 16) & 255] ^ T4[c >>> 24] ^
      T3[data[i + 4]] ^ T2[data[i + 5]] ^ T1[data[i + 6]] ^ T0[data[i + 7]];
  }
  for (; i < data.length; i++) c = T0[(c ^ data[i]) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}
