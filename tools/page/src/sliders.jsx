/** Sliders for the numbers of a latent; each move draws the image again. */

import { useRef, useState } from "preact/hooks";
import { number } from "./words.js";

const MOST = 64; // sliders at a time
const WHOLE = { u8: [0, 255], i8: [-128, 127] };

/** Lowest and highest number that a slider can give, and its step. */
function rangeOf({ input }, values) {
  const whole = WHOLE[input.type];
  const [low, high] = input.range ?? whole ?? [Math.min(-4, ...values.subarray(0, 4096)), Math.max(4, ...values.subarray(0, 4096))];
  return { low, high, step: whole ? 1 : (high - low) / 200 };
}

/** @param {{document: any, latent: any, image: any, start?: string, onImage: (image: any) => void}} props `start`: what the latent is */
export function Sliders({ document: file, latent, image, start = "the file's", onImage }) {
  const [values, setValues] = useState(latent.values);
  const [first, setFirst] = useState(0);
  const [isEverywhere, setEverywhere] = useState(false);
  const [seconds, setSeconds] = useState(null);
  const [problem, setProblem] = useState("");
  const wanted = useRef(null), isBusy = useRef(false);
  const channels = latent.dims.length > 1 ? latent.dims.at(-1) : 0;
  const { low, high, step } = rangeOf(file.decoder, latent.values);

  /** Draw the newest values; what was asked for while the decoder was busy is left out. */
  const draw = async (next) => {
    wanted.current = next;
    if (isBusy.current) return;
    isBusy.current = true;
    try {
      while (wanted.current) {
        const now = wanted.current, start = performance.now();
        wanted.current = null;
        onImage(await file.ask({ do: "run", values: now, dims: latent.dims, image: [image.height, image.width, image.channels] }));
        setSeconds((performance.now() - start) / 1000);
        setProblem("");
      }
    } catch (error) {
      setProblem(error.problem?.message ?? String(error));
    } finally {
      isBusy.current = false;
    }
  };
  const set = (i, value) => {
    const next = isEverywhere ? shifted(values, i, value - values[i], channels, low, high) : values.slice();
    next[i] = value;
    setValues(next);
    draw(next);
  };
  const reset = () => {
    setValues(latent.values);
    wanted.current = null;
    onImage(null);
  };

  const n = values.length;
  const shown = Array.from({ length: Math.min(MOST, n - first) }, (_, i) => first + i);
  return (
    <div>
      <p class="bar">
        {n > MOST && (
          <label>Numbers from <input type="number" min={0} max={n - 1} step={MOST} value={first}
            onChange={({ target }) => setFirst(Math.max(0, Math.min(n - 1, Math.floor(Number(target.value)) || 0)))} /> of {number(n)}</label>
        )}
        {channels > 0 && <label><input type="checkbox" checked={isEverywhere} onChange={({ target }) => setEverywhere(target.checked)} /> the channel everywhere</label>}
        <button type="button" onClick={reset}>Back to {start}</button>
        <span class="quiet" role="status">{problem || (seconds === null ? "" : `drawn in ${seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`}`)}</span>
      </p>
      <div class="sliders">
        {shown.map((i) => (
          <label key={i} class={values[i] === latent.values[i] ? "" : "changed"}>
            <span>{placeOf(i, latent.dims)}</span>
            <input type="range" min={low} max={high} step={step} value={values[i]} onInput={({ target }) => set(i, Number(target.value))} />
            <output>{Number.isInteger(values[i]) ? values[i] : values[i].toFixed(2)}</output>
          </label>
        ))}
      </div>
    </div>
  );
}

/** One channel moved by as much in every place, within the range. */
function shifted(values, i, delta, channels, low, high) {
  const next = values.slice();
  for (let j = i % channels; j < next.length; j += channels) next[j] = Math.max(low, Math.min(high, next[j] + delta));
  return next;
}

/** Row, column and channel of a number; its place where there is one dimension. */
function placeOf(i, dims) {
  const place = [];
  for (let axis = dims.length - 1, left = i; axis >= 0; axis--) {
    place.unshift(left % dims[axis]);
    left = Math.floor(left / dims[axis]);
  }
  return place.join(", ");
}
