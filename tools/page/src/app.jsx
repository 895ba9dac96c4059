/** The whole page: files, and for the one that is chosen its images, latents, facts, problems and bytes. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Document } from "./documents.js";
import { Engine } from "./engine.js";
import { FileFacts, Network } from "./facts.jsx";
import { fromStore, given, NotAllowed } from "./given.js";
import { Grid } from "./grid.jsx";
import { Bytes } from "./hex.jsx";
import { Large } from "./large.jsx";
import { Latents } from "./latents.jsx";
import { useListened } from "./listened.js";
import { Problems } from "./problems.jsx";
import { Try } from "./try.jsx";
import { count, size } from "./words.js";

const DROPPED = "dropped on this page";

/** @param {Blob | string | {url: string, headers: any}} source a file, or where it is */
async function bytesOf(source) {
  const body = source instanceof Blob ? source : await fetch(source.url ?? source, { headers: source.headers });
  return new Uint8Array(await body.arrayBuffer());
}

export function App() {
  const [documents, setDocuments] = useState([]);
  const [current, setCurrent] = useState(0);
  const [isOver, setOver] = useState(false);
  const [state, setState] = useState("starting");
  const [store, setStore] = useState(null);
  const [refusal, setRefusal] = useState("");
  const shared = useMemo(() => ({ engines: { look: new Engine(), check: new Engine() }, decoders: new Map(), find: async () => null }), []);

  const findDecoders = async function* (id) {
    for (const { source, place } of shared.decoders.get(id) ?? []) yield { bytes: await bytesOf(source), place };
    const found = await shared.find(id);
    if (found) yield found;
  };
  const begin = async ({ files, findDecoder: find }) => {
    shared.find = find;
    await add(files, "among these files");
    setState("ready");
  };
  const unlock = async (from, token) => {
    try {
      await begin(await fromStore(from, token));
    } catch (error) {
      if (!(error instanceof NotAllowed)) throw error;
      setRefusal(error.message);
      setState("locked");
    }
  };
  /** Put files on the page.  A package among them is a decoder that files of latents can take. */
  const add = async (files, place) => {
    for (const { source } of files) {
      const id = await shared.engines.check.ask({ do: "identify", source }).catch(() => null);
      if (id) shared.decoders.set(id, [...(shared.decoders.get(id) ?? []), { source, place }]);
    }
    const fresh = files.map((file) => new Document(shared.engines, file, findDecoders));
    setDocuments((before) => {
      setCurrent(place === DROPPED ? before.length : 0);
      return [...before, ...fresh];
    });
    fresh.forEach((one) => one.load());
  };
  useEffect(() => {
    given().then(({ store, ...all }) => {
      if (!store) return begin(all);
      setStore(store);
      return unlock(store, "");
    }).catch(() => setState("lost"));
  }, []);

  /** Files from a person.  Who waits for a decoder looks again. */
  const take = async (list) => {
    await add([...list].map((file) => ({ name: file.name, source: file })), DROPPED);
    for (const one of documents) if (one.needs && !one.decoder && shared.decoders.has(one.needs)) one.again();
  };
  const onDrop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files);
  };
  const onDragOver = (event) => {
    event.preventDefault();
    setOver(true);
  };
  const document = documents[current];
  useEffect(() => {
    window.document.title = document ? `${document.name} · aeformat` : "aeformat";
  }, [document]);
  return (
    <div class={`app${isOver ? " over" : ""}`} onDrop={onDrop} onDragOver={onDragOver} onDragLeave={({ relatedTarget }) => relatedTarget || setOver(false)}>
      <header class="top">
        <h1>aeformat</h1>
        {documents.length > 1 && (
          <select aria-label="File" value={current} onChange={({ target }) => setCurrent(Number(target.value))}>
            {documents.map(({ name, key }, i) => <option key={key} value={i}>{name}</option>)}
          </select>
        )}
        {documents.length === 1 && <span class="name">{document.name}</span>}
        <span class="grow" />
        <label class="button"><input class="hidden" type="file" multiple accept=".aef" onChange={({ target }) => (take(target.files), (target.value = ""))} />Open…</label>
      </header>
      {document ? <OneFile key={document.key} document={document} /> : state === "locked" ? <Locked refusal={refusal} onToken={(token) => unlock(store, token).catch(() => setState("lost"))} /> : <Empty state={state} />}
    </div>
  );
}

function Empty({ state }) {
  const text = { starting: "The files are being listed.", lost: "The program that gave this page does not answer.", ready: "Drop .aef files here. They stay on this machine." };
  return <main class="empty"><p role="status">{text[state]}</p></main>;
}

/** The server wants to know who reads.  The token stays in this page. */
function Locked({ refusal, onToken }) {
  const onSubmit = (event) => {
    event.preventDefault();
    onToken(event.target.elements.token.value.trim());
  };
  return (
    <main class="empty">
      <form class="bar" onSubmit={onSubmit}>
        <label>Token <input name="token" type="password" autocomplete="off" required /></label>
        <button>Show</button>
        <p role="alert">{refusal}</p>
      </form>
    </main>
  );
}

const TABS = { images: "Images", latents: "Latents", try: "Try", file: "File", problems: "Problems", bytes: "Bytes" };

function tabsOf({ summary, problems }) {
  const own = !summary || problems.length ? [] : summary.kind === "model" ? ["try"] : ["images", "latents"];
  return [...own, "file", "problems", "bytes"];
}

function OneFile({ document }) {
  const file = useListened(document);
  const [wanted, setWanted] = useState("");
  const [mark, setMark] = useState(null);
  const [open, setOpen] = useState(-1);
  const panel = useRef(null);
  const tabs = tabsOf(file);
  const tab = tabs.includes(wanted) ? wanted : file.problems.length ? "problems" : tabs[0];
  const onBytes = (at, n) => {
    setMark({ at, n });
    setWanted("bytes");
  };
  const onKeyDown = ({ key, target }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(target.id.slice("tab-".length)) + step + tabs.length) % tabs.length];
    setWanted(next);
    window.document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <main class="one">
      <Status document={file} />
      <div class="tabs" role="tablist" aria-label="Views of the file" onKeyDown={onKeyDown}>
        {tabs.map((name) => (
          <button key={name} type="button" role="tab" id={`tab-${name}`} aria-selected={tab === name} aria-controls="panel" tabIndex={tab === name ? 0 : -1} onClick={() => setWanted(name)}>
            {TABS[name]}{name === "problems" && file.problems.length > 0 && <span class="badge">{file.problems.length}</span>}
          </button>
        ))}
      </div>
      <div id="panel" class={`panel of-${tab}`} role="tabpanel" aria-labelledby={`tab-${tab}`} tabIndex={0} ref={panel}>
        {tab === "images" && <Images document={file} scroller={panel} onOpen={setOpen} />}
        {tab === "latents" && <Latents document={file} onOpen={setOpen} />}
        {tab === "try" && <Try document={file} />}
        {tab === "file" && <FileFacts document={file} onBytes={onBytes} />}
        {tab === "problems" && <Problems document={file} onBytes={onBytes} />}
        {tab === "bytes" && <Bytes document={file} mark={mark} />}
      </div>
      {open >= 0 && file.pictures && !file.problems.length && <Large document={file} index={open} onMove={setOpen} onClose={() => setOpen(-1)} />}
    </main>
  );
}

/** One line: is the file good, are its receipts proved, is its decoder here. */
function Status({ document: { summary, report, problems, decoder, place, needs, size: nBytes, checked } }) {
  const what = problems.length ? "bad" : report ? "good" : "busy";
  const bad = problems[0]?.rule ? `Broken: rule ${problems[0].rule}` : "Cannot be shown";
  const word = { bad, good: report?.notChecked ? "Valid so far" : "Valid", busy: nBytes ? "Checking" : "Opening" }[what];
  return (
    <p class="status" data-state={what}>
      <strong class={`chip ${what}`} role="status">{word}</strong>
      {what === "busy" && nBytes > 0 && <span>{Math.floor((100 * checked) / nBytes)} %</span>}
      {report && !problems.length && report.nReceipts > 0 && <span>{report.nProved} of {count(report.nReceipts, "receipt")} proved</span>}
      {summary?.kind === "latents" && <span>{count(summary.length, "image")}</span>}
      {nBytes > 0 && <span>{size(nBytes)}</span>}
      {summary?.kind === "latents" && (decoder ? <span>decoder {place}</span> : report && needs && !problems.length && <span class="warn">decoder not here</span>)}
      {report?.notChecked && <span>not checked: {report.notChecked}</span>}
    </p>
  );
}

const SHOWS = { image: "Decoded", side: "Beside the original", difference: "Difference × 4" };

function Images(props) {
  const { pictures, report, decoder } = props.document;
  if (pictures) return <Pictures {...props} />;
  if (report && !decoder) return <div class="page"><h2>The decoder is missing</h2><Network document={props.document} /></div>;
  return <p role="status" class="quiet">The file is being checked; then its images appear.</p>;
}

function Pictures({ document: file, scroller, onOpen }) {
  const [show, setShow] = useState("image");
  const { error } = useListened(file.pictures);
  if (error) return <p class="alert" role="alert">{error.rule} {error.message}</p>;
  return (
    <>
      {file.against && (
        <fieldset class="choice">
          <legend class="hidden">Show</legend>
          {Object.entries(SHOWS).map(([key, label]) => (
            <label key={key}><input type="radio" name="show" checked={show === key} onChange={() => setShow(key)} /><span>{label}</span></label>
          ))}
        </fieldset>
      )}
      <Grid document={file} show={show} scroller={scroller} onOpen={onOpen} />
    </>
  );
}
