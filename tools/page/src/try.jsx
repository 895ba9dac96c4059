/** A decoder by itself: sliders from a latent of zeros. */

import { useMemo, useState } from "preact/hooks";
import { Picture } from "./canvas.jsx";
import { Network } from "./facts.jsx";
import { Sliders } from "./sliders.jsx";

const SIDE = 4; // latents across, where the size is free

/** @param {{document: any}} props */
export function Try({ document: file }) {
  const { decoder } = file;
  const [image, setImage] = useState(null);
  const start = useMemo(() => decoder && startOf(decoder), [decoder]);
  if (!decoder || decoder.role !== "decoder" || decoder.output.type !== "u8") {
    return <div class="page"><p>{decoder ? "This half of an autoencoder makes latents of images. Drop a file of latents here to see images." : "The network is not open."}</p>{decoder && <Network document={file} />}</div>;
  }
  return (
    <div class="page">
      <p>What this decoder makes of a latent that you choose. Move a slider to begin.</p>
      <div class="stage">{image && <Picture image={image} label="What the decoder makes" />}</div>
      <Sliders document={file} latent={start} image={start.size} start="the beginning" onImage={setImage} />
    </div>
  );
}

/** A latent of zeros, or of what is next to zero in the range. */
function startOf({ input, output, isFree, scale }) {
  const dims = isFree ? [SIDE, SIDE, input.shape[2]] : input.shape;
  const [low, high] = input.range ?? [-Infinity, Infinity];
  const Type = { u8: Uint8Array, i8: Int8Array }[input.type] ?? Float32Array;
  const values = new Type(dims.reduce((product, n) => product * n, 1)).fill(Math.max(low, Math.min(high, 0)));
  const [height, width] = isFree ? [SIDE * scale[0], SIDE * scale[1]] : output.shape;
  return { values, dims, size: { height, width, channels: output.shape[2] } };
}
