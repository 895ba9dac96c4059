/**
 * An image for a canvas.
 */

/** Pixels with red, green, blue and opacity, from images of 1 (grey) or 3 channels. @param {{data: Uint8Array, height: number, width: number, channels: number}} image */
export function toRgba({ data, height, width, channels }) {
  const out = new Uint8ClampedArray(4 * height * width);
  for (let i = 0, from = 0, to = 0; i < height * width; i++, from += channels, to += 4) {
    for (let c = 0; c < 3; c++) out[to + c] = data[from + Math.min(c, channels - 1)];
    out[to + 3] = 255;
  }
  return out;
}

/** Draw an image on a canvas of its size. @param {HTMLCanvasElement | OffscreenCanvas} canvas */
export function paint(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.putImageData(new ImageData(toRgba(image), image.width, image.height), 0, 0);
}
