/** One image large, with the original, the difference, and sliders that move its latent. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Picture } from "./canvas.jsx";
import { difference, errorOf } from "./pixels.js";
import { Sliders } from "./sliders.jsx";
import { decibels, number } from "./words.js";

const GAINS = [1, 4, 16];

/** @param {{document: any, index: number, onMove: (i: number) => void, onClose: () => void}} props */
export function Large({ document: file, index, onMove, onClose }) {
  const dialog = useRef(null);
  const [image, setImage] = useState(null);
  const [latent, setLatent] = useState(null);
  const [moved, setMoved] = useState(null);
  const [problem, setProblem] = useState(null);

  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => {
    let isCurrent = true;
    setMoved(null);
    const take = (set) => (value) => isCurrent && set(value);
    const refuse = (error) => isCurrent && setProblem(error.problem?.message ?? String(error));
    file.pictures.fetch(index).then(take(setImage), refuse);
    file.ask({ do: "row", row: index }).then(take(setLatent), refuse);
    return () => (isCurrent = false);
  }, [file, index]);

  const onKeyDown = (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft" && index > 0) onMove(index - 1);
    if (event.key === "ArrowRight" && index < file.pictures.length - 1) onMove(index + 1);
  };
  const name = image?.name ?? `Image ${number(index)}`;
  return (
    <dialog class="large" ref={dialog} onClose={onClose} onKeyDown={onKeyDown} aria-labelledby="large-name">
      <header>
        <h2 id="large-name" class="name">{name}</h2>
        <span class="quiet">{number(index + 1)} of {number(file.pictures.length)}</span>
        <span class="grow" />
        <button type="button" onClick={() => onMove(index - 1)} disabled={index === 0} aria-label="Previous image">←</button>
        <button type="button" onClick={() => onMove(index + 1)} disabled={index === file.pictures.length - 1} aria-label="Next image">→</button>
        <button type="button" onClick={() => dialog.current.close()} aria-label="Close">✕</button>
      </header>
      {problem && <p class="alert" role="alert">{problem}</p>}
      {image && <Comparison image={moved ?? image} decoded={image} original={image.original} isMoved={Boolean(moved)} />}
      {latent && image && file.decoder.output.type === "u8" && (
        <details class="movers">
          <summary>Move the latent</summary>
          <Sliders key={index} document={file} latent={latent} image={image} onImage={setMoved} />
        </details>
      )}
    </dialog>
  );
}

/** The image, or another view of it, and what it says in numbers. */
function Comparison({ image, decoded, original, isMoved }) {
  const reference = isMoved ? decoded : original;
  const [view, setView] = useState("image");
  const [gain, setGain] = useState(4);
  const views = reference ? { image: isMoved ? "Moved" : "Decoded", reference: isMoved ? "Decoded" : "Original", difference: "Difference" } : { image: "Decoded" };
  const chosen = views[view] ? view : "image";
  const shown = useMemo(() => {
    if (chosen === "reference") return reference;
    return chosen === "difference" ? difference(image, reference, gain) : image;
  }, [image, reference, chosen, gain]);
  const { psnr, mse } = useMemo(() => (isMoved ? errorOf(image, original) : decoded), [image, decoded, original]);
  return (
    <>
      {reference && (
        <fieldset class="choice">
          <legend class="hidden">View</legend>
          {Object.entries(views).map(([key, label]) => (
            <label key={key}><input type="radio" name="view" checked={chosen === key} onChange={() => setView(key)} /><span>{label}</span></label>
          ))}
          {chosen === "difference" && (
            <label class="select">times <select value={gain} onChange={({ target }) => setGain(Number(target.value))}>
              {GAINS.map((n) => <option key={n} value={n}>{n}</option>)}
            </select></label>
          )}
        </fieldset>
      )}
      <div class="stage"><Picture image={shown} label={`${views[chosen]} image, ${image.width} by ${image.height} pixels`} /></div>
      <dl class="numbers">
        <div><dt>Size</dt><dd>{image.width} × {image.height}, {image.channels === 1 ? "grey" : `${image.channels} channels`}</dd></div>
        {psnr !== undefined && <div><dt>PSNR</dt><dd>{decibels(psnr)}</dd></div>}
        {mse !== undefined && <div><dt>MSE</dt><dd>{mse.toPrecision(4)}</dd></div>}
      </dl>
    </>
  );
}
