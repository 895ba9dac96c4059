/** What the latents are like: a histogram of their numbers, and a map of the rows. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { count, number } from "./words.js";

const COLOURS = ["#4477aa", "#ee6677", "#228833", "#aa3377", "#ccaa22", "#66bbee", "#884400", "#7755cc", "#008877", "#dd5500"];
const NEAR = 12; // pixels from a point

/** Draw on a canvas as wide as its place, sharp on every screen, again when the size or the colours change. */
function useDrawing(draw, inputs) {
  const ref = useRef(null);
  useLayoutEffect(() => {
    const canvas = ref.current;
    const again = () => {
      const { clientWidth: width, clientHeight: height } = canvas, scale = devicePixelRatio || 1;
      if (!width) return;
      canvas.width = width * scale, canvas.height = height * scale;
      const context = canvas.getContext("2d");
      context.scale(scale, scale);
      draw(context, width, height, (name) => getComputedStyle(canvas).getPropertyValue(name));
    };
    const watcher = new ResizeObserver(again), colours = matchMedia("(prefers-color-scheme: dark)");
    watcher.observe(canvas);
    colours.addEventListener("change", again);
    return () => (watcher.disconnect(), colours.removeEventListener("change", again));
  }, inputs);
  return ref;
}

/** @param {{document: any, onOpen: (i: number) => void}} props */
export function Latents({ document: file, onOpen }) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isCurrent = true;
    file.ask({ do: "survey" }).then((result) => isCurrent && setFound(result), (error) => isCurrent && setProblem(error.problem?.message ?? String(error)));
    return () => (isCurrent = false);
  }, [file]);
  if (problem) return <div class="page"><p class="alert" role="alert">{problem}</p></div>;
  if (!found) return <div class="page"><p role="status">The latents are being read.</p></div>;
  const { rows, histogram, map, names } = found;
  return (
    <div class="page">
      <p class="quiet">{rows.length < file.summary.length ? `From ${count(rows.length, "row")}, spread over all ${number(file.summary.length)}.` : `From all ${count(rows.length, "row")}.`}</p>
      {histogram && <section aria-labelledby="histogram-name"><h2 id="histogram-name">Numbers</h2><Histogram {...histogram} /></section>}
      {map && <section aria-labelledby="map-name"><h2 id="map-name">Map</h2><PointMap {...map} rows={rows} names={names} onOpen={file.pictures ? onOpen : null} /></section>}
    </div>
  );
}

function Histogram({ low, high, step, bins, mean, n, zeros }) {
  const show = (value) => (Number.isInteger(value) ? number(value) : Number(value.toPrecision(4)));
  const ref = useDrawing((context, width, height, colour) => {
    const most = Math.max(...bins), each = width / bins.length;
    context.fillStyle = colour("--accent");
    bins.forEach((some, i) => {
      const tall = some ? Math.max(1, (some / most) * (height - 4)) : 0;
      context.fillRect(i * each, height - tall, Math.max(1, each - 1), tall);
    });
  }, [bins]);
  return (
    <>
      <canvas ref={ref} class="histogram" role="img" aria-label={`Histogram of ${number(n)} numbers from ${show(low)} to ${show(high)}`} />
      <p class="axis" aria-hidden="true"><span>{show(low)}</span><span>{show(low + (step * bins.length) / 2)}</span><span>{show(high)}</span></p>
      <p>{count(n, "number")}, mean {Number(mean.toPrecision(4))}, {((100 * zeros) / n).toFixed(1)} % of them zero.</p>
    </>
  );
}

/** Colour of each point: by label or folder, where there are few. */
function groupsOf(names) {
  const keys = names.map((name) => (name === null ? "" : /^\d+$/.test(name) ? name : name.split("/").slice(0, -1).join("/")));
  const distinct = [...new Set(keys)].sort();
  return distinct.length > 1 && distinct.length <= COLOURS.length ? { keys, distinct } : null;
}

function PointMap({ points, share, rows, names, onOpen }) {
  const [near, setNear] = useState(-1);
  const groups = groupsOf(names);
  const [low, high] = [Math.min, Math.max].map((pick) => [0, 1].map((k) => points.reduce((best, point) => pick(best, point[k]), points[0][k])));
  const place = (point, width, height) => [width, height].map((side, k) => 8 + ((k ? high[k] - point[k] : point[k] - low[k]) / (high[k] - low[k] || 1)) * (side - 16));
  const ref = useDrawing((context, width, height, colour) => {
    points.forEach((point, i) => {
      const [x, y] = place(point, width, height);
      context.fillStyle = groups ? COLOURS[groups.distinct.indexOf(groups.keys[i])] : colour("--accent");
      context.globalAlpha = i === near ? 1 : 0.7;
      context.beginPath();
      context.arc(x, y, i === near ? 6 : 3, 0, 7);
      context.fill();
    });
  }, [points, near]);
  const find = ({ offsetX, offsetY, target }) => {
    let best = -1, least = NEAR ** 2;
    points.forEach((point, i) => {
      const [x, y] = place(point, target.clientWidth, target.clientHeight), far = (x - offsetX) ** 2 + (y - offsetY) ** 2;
      if (far < least) (least = far), (best = i);
    });
    return best;
  };
  const percent = share.map((part) => `${(100 * part).toFixed(0)} %`).join(" and ");
  return (
    <>
      <canvas ref={ref} class="map" role="img" aria-label={`Map of ${number(points.length)} rows by their two principal components, which hold ${percent} of the variance`}
        onPointerMove={(event) => setNear(find(event))} onPointerLeave={() => setNear(-1)} onClick={(event) => onOpen && find(event) >= 0 && onOpen(rows[find(event)])} />
      {groups && <ul class="legend" role="list">{groups.distinct.map((key, i) => <li key={key}><span class="dot" style={{ background: COLOURS[i] }} />{key || "no name"}</li>)}</ul>}
      <p class="quiet">The two directions in which the rows differ most hold {percent} of the variance. {onOpen && "A click on a point opens its image."}{near >= 0 && ` Row ${number(rows[near])}${names[near] ? `, ${names[near]}` : ""}.`}</p>
    </>
  );
}
