/**
 * The originals that `--against` gave, and how far an image is from its own.
 */

/**
 * Originals of rows.  They lie one after the other as raw pixels; `runs` are [n, height, width, channels].
 * @param {{source: any, runs: number[][]}} against @param {number} first @param {number} count
 */
export async function decode({ source, runs }, first, count) {
  const out = [];
  let row = 0, at = 0;
  for (const [n, height, width, channels] of runs) {
    const size = height * width * channels;
    const from = Math.max(first, row), to = Math.min(first + count, row + n);
    if (from < to) {
      const bytes = await source.read(at + (from - row) * size, (to - from) * size);
      for (let i = 0; i < to - from; i++) out.push({ data: bytes.slice(i * size, (i + 1) * size), height, width, channels });
    }
    row += n, at += n * size;
  }
  return out;
}

/** Mean squared error (pixels in 0..1) against the original, and PSNR in dB; nothing where the sizes differ. */
export function errorOf({ data, height, width, channels }, original) {
  if (!original || original.height !== height || original.width !== width || original.channels !== channels) return {};
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] - original.data[i]) ** 2;
  const mse = sum / data.length / 255 ** 2;
  return { original, mse, psnr: mse ? -10 * Math.log10(mse) : Infinity };
}

/** What differs, made visible: absolute difference times `gain`. */
export function difference({ data, height, width, channels }, original, gain) {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) out[i] = Math.min(255, gain * Math.abs(data[i] - original.data[i]));
  return { data: out, height, width, channels };
}
