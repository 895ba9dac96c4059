/** The bytes of the file, sixteen in a line, with some of them marked.  Only the lines in view are read. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { number } from "./words.js";

const LINE_HEIGHT = 20;
const MOST_LINES = 400000; // what a browser can scroll; "go to" reaches the rest
const PAGE_BYTES = 4096;

/** @param {{document: any, mark: {at: number, n: number} | null}} props */
export function Bytes({ document: file, mark }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, height: 400, width: 0 });
  const [base, setBase] = useState(0);
  const [pages, setPages] = useState(new Map());

  const perLine = view.width && view.width < 560 ? 8 : 16;
  const nLines = Math.min(MOST_LINES, Math.max(1, Math.ceil((file.size - base) / perLine)));

  /** Bring a byte into view. */
  const goTo = (at) => {
    const target = Math.max(0, Math.min(at, file.size - 1)), half = (MOST_LINES >> 1) * perLine;
    const start = file.size > MOST_LINES * perLine ? Math.max(0, Math.floor((target - half) / perLine) * perLine) : 0;
    setBase(start);
    requestAnimationFrame(() => (box.current.scrollTop = Math.max(0, Math.floor((target - start) / perLine) - 3) * LINE_HEIGHT));
  };

  useLayoutEffect(() => {
    const look = () => setView({ top: box.current.scrollTop, height: box.current.clientHeight, width: box.current.clientWidth });
    const watcher = new ResizeObserver(look);
    watcher.observe(box.current);
    look();
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    if (mark && view.width) goTo(mark.at);
  }, [mark, Boolean(view.width)]);

  const first = Math.floor(view.top / LINE_HEIGHT), last = Math.min(nLines, first + Math.ceil(view.height / LINE_HEIGHT) + 1);
  const from = base + first * perLine, to = Math.min(file.size, base + last * perLine);
  useEffect(() => {
    let isCurrent = true;
    (async () => {
      for (let page = Math.floor(from / PAGE_BYTES); page * PAGE_BYTES < to; page++) {
        if (pages.has(page)) continue;
        const bytes = await file.ask({ do: "bytes", at: page * PAGE_BYTES, n: PAGE_BYTES });
        if (!isCurrent) return;
        setPages((before) => new Map([...before].slice(-64)).set(page, bytes));
      }
    })();
    return () => (isCurrent = false);
  }, [from, to, pages, file]);

  const byte = (at) => pages.get(Math.floor(at / PAGE_BYTES))?.[at % PAGE_BYTES];
  const onGo = (event) => {
    event.preventDefault();
    goTo(Number(event.target.elements.at.value) || 0);
  };
  return (
    <div class="bytes">
      <form class="bar" onSubmit={onGo}>
        <label>Byte <input name="at" type="number" min={0} max={Math.max(0, file.size - 1)} defaultValue={mark?.at ?? 0} key={mark?.at} /></label>
        <button>Go</button>
        <span class="quiet">of {number(file.size)}{mark && `; marked: ${number(mark.at)}${mark.n > 1 ? ` to ${number(mark.at + mark.n - 1)}` : ""}`}</span>
      </form>
      <div class="hex" ref={box} tabIndex={0} role="region" aria-label="Bytes in hexadecimal" onScroll={({ target }) => setView((old) => ({ ...old, top: target.scrollTop }))}>
        <div style={{ height: `${nLines * LINE_HEIGHT}px` }}>
          <pre style={{ transform: `translateY(${first * LINE_HEIGHT}px)` }}>
            {Array.from({ length: Math.max(0, last - first) }, (_, i) => <Line key={first + i} at={from + i * perLine} n={perLine} size={file.size} byte={byte} mark={mark} />)}
          </pre>
        </div>
      </div>
    </div>
  );
}

function Line({ at, n, size, byte, mark }) {
  const places = Array.from({ length: Math.max(0, Math.min(n, size - at)) }, (_, i) => at + i);
  const isMarked = (i) => mark && i >= mark.at && i < mark.at + mark.n;
  const wrap = (i, text) => (isMarked(i) ? <mark key={i}>{text}</mark> : text);
  const hex = (i) => byte(i)?.toString(16).padStart(2, "0") ?? "··";
  const letter = (i) => (byte(i) > 31 && byte(i) < 127 ? String.fromCharCode(byte(i)) : "·");
  const gap = "   ".repeat(n - places.length);
  return <span class="line"><span class="quiet">{String(at).padStart(9)}</span>{"  "}{places.flatMap((i) => [wrap(i, hex(i)), " "])}{gap} {places.map((i) => wrap(i, letter(i)))}{"\n"}</span>;
}
