/**
 * Decodes all images of a file, as often as is asked, and says how much processor time that takes at best.  Runs in Node and in a browser.
 */

import { open } from "aeformat";

/**
 * @param {Uint8Array} bytes of a file with its decoder inside @param {number} runs
 * @param {() => Promise<number>} clock seconds of processor time of all threads so far
 * @returns {Promise<{pixels: Uint8Array, seconds: number}>}
 */
export async function decode(bytes, runs, clock) {
  let pixels = new Uint8Array(0), seconds = Infinity;
  for (let run = 0; run < runs; run++) {
    const begin = await clock();
    const file = await open(bytes), images = await file.images(0, file.length);
    seconds = Math.min(seconds, (await clock()) - begin);
    pixels = joined(images.map(({ data }) => data));
  }
  return { pixels, seconds };
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) all.set(part, at), (at += part.length);
  return all;
}
