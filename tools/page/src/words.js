/** Numbers and places in words. */

const UNITS = ["B", "kB", "MB", "GB"];

/** 12.3 kB (powers of 1000). @param {number} n */
export function size(n) {
  const power = n < 10000 ? 0 : Math.min(Math.floor((String(Math.round(n)).length - 1) / 3), 3);
  return `${power ? Number((n / 1000 ** power).toPrecision(4)) : n.toLocaleString("en")} ${UNITS[power]}`;
}

export const number = (n) => n.toLocaleString("en");

export const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

export const decibels = (psnr) => (psnr === Infinity ? "identical" : `${psnr.toFixed(2)} dB`);

/** Where a problem is. */
export const place = ({ at, inside, insideAt }) => (inside ? `byte ${number(at)} of the decoder inside, ${number(insideAt + at)} of the file` : `byte ${number(at)}`);
