/** The grid of images.  Only those in view are in the page, however many there are. */

import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Picture } from "./canvas.jsx";
import { useListened } from "./listened.js";
import { difference } from "./pixels.js";
import { decibels, number } from "./words.js";

const GAP = 10;
const CAPTION = 22;
const MOST_HEIGHT = 8000000; // pixels; browsers draw nothing beyond some 16 million
const KEYS = { ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: (n) => n, ArrowUp: (n) => -n, PageDown: (n) => 5 * n, PageUp: (n) => -5 * n };

/** How the images are laid out in a width. */
function layout(width, shape, nCanvases) {
  const isSmall = !shape || Math.max(shape[0], shape[1]) <= 64;
  const box = isSmall ? 72 : Math.min(220, Math.max(120, (width - GAP) / 2 - GAP));
  const wanted = box * nCanvases + GAP;
  const columns = Math.max(1, Math.floor((width + GAP) / (wanted + GAP)));
  const cell = (width - GAP * (columns - 1)) / columns;
  return { columns, cell, box: isSmall ? box : Math.min(box, cell / nCanvases), rowHeight: box + CAPTION + 2 * GAP };
}

const px = (sizes) => Object.fromEntries(Object.entries(sizes).map(([key, n]) => [key, `${n}px`]));

/** @param {{document: any, show: string, scroller: any, onOpen: (i: number) => void}} props */
export function Grid({ document: file, show, scroller, onOpen }) {
  const pictures = useListened(file.pictures);
  const [view, setView] = useState({ top: 0, height: 600, width: 0 });
  const [current, setCurrent] = useState(0);
  const list = useRef(null), focusNext = useRef(false);
  const latest = useRef(0); // keys can come faster than the page is drawn
  const choose = useRef((i) => setCurrent((latest.current = i))).current;
  const nCanvases = show === "side" ? 2 : 1;

  useLayoutEffect(() => {
    const element = scroller.current;
    const look = () => setView({ top: Math.max(0, element.scrollTop - list.current.offsetTop), height: element.clientHeight, width: list.current.clientWidth });
    const watcher = new ResizeObserver(look);
    watcher.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    look();
    return () => (watcher.disconnect(), element.removeEventListener("scroll", look));
  }, []);

  const { columns, cell, box, rowHeight } = layout(view.width, pictures.shape, nCanvases);
  const nRows = Math.ceil(pictures.length / columns);
  const full = nRows * rowHeight, height = Math.min(full, MOST_HEIGHT);
  const shift = height < full ? (view.top / Math.max(1, height - view.height)) * (full - height) : 0;
  const firstRow = Math.max(0, Math.floor((view.top + shift) / rowHeight) - 1);
  const lastRow = Math.min(nRows, Math.ceil((view.top + shift + view.height) / rowHeight) + 1);
  const first = firstRow * columns, last = Math.min(pictures.length, lastRow * columns);

  useEffect(() => {
    if (view.width) pictures.want(first, last);
  }, [first, last, view.width, pictures]);

  useEffect(() => {
    if (!focusNext.current) return;
    focusNext.current = false;
    list.current.querySelector(`[data-image="${current}"]`)?.focus({ preventScroll: true });
  });

  const move = (to) => {
    const target = Math.max(0, Math.min(pictures.length - 1, to));
    const row = Math.floor(target / columns), top = row * rowHeight - shift;
    if (top < view.top) scroller.current.scrollTop = list.current.offsetTop + top;
    if (top + rowHeight > view.top + view.height) scroller.current.scrollTop = list.current.offsetTop + top + rowHeight - view.height;
    focusNext.current = true;
    choose(target);
  };
  const onKeyDown = (event) => {
    const step = KEYS[event.key]?.(columns);
    if (step === undefined && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    move(event.key === "Home" ? 0 : event.key === "End" ? pictures.length - 1 : latest.current + step);
  };

  const shown = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
  if (!shown.includes(current) && current < pictures.length) shown.push(current); // so that the focus is not lost
  return (
    <ul class="grid" role="list" aria-label={`${number(pictures.length)} images`} ref={list} style={{ height: `${height}px` }} onKeyDown={onKeyDown}>
      {view.width > 0 && shown.map((i) => (
        <li key={i} aria-setsize={pictures.length} aria-posinset={i + 1} style={px({ top: Math.floor(i / columns) * rowHeight - shift, left: (i % columns) * (cell + GAP), width: cell, height: rowHeight - GAP })}>
          <SteadyCell i={i} image={pictures.get(i)} show={show} box={box} isCurrent={i === current} onFocus={choose} onOpen={onOpen} />
        </li>
      ))}
    </ul>
  );
}

/** Draws a cell again only when something of it has changed: scrolling changes none. */
class SteadyCell extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((key) => next[key] !== this.props[key]);
  }

  render(props) {
    return <Cell {...props} />;
  }
}

function Cell({ i, image, show, box, isCurrent, onFocus, onOpen }) {
  const name = image?.name ?? number(i);
  const shown = useMemo(() => shownOf(image, show), [image, show]);
  const psnr = image?.psnr === undefined ? "" : decibels(image.psnr);
  return (
    <button type="button" class="cell" data-image={i} tabIndex={isCurrent ? 0 : -1} onFocus={() => onFocus(i)} onClick={() => onOpen(i)}>
      <span class="pair" style={px({ height: box })}>
        {show === "side" && <Picture image={image?.original} />}
        <Picture image={shown} />
      </span>
      <span class="caption"><span class="name"><span class="hidden">Image </span>{name}</span>{" "}{psnr && <span class="error">{psnr}</span>}</span>
    </button>
  );
}

function shownOf(image, show) {
  if (!image || show !== "difference") return image;
  return image.original && difference(image, image.original, 4);
}
