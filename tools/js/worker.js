/**
 * A worker that opens files and decodes their images, so that a page stays responsive.
 *
 * Start it by `startWorker()` of index.js: its first message, {do: "start", fzstd: URL}, says where the dependency is, because a
 * worker has no import map.
 *
 * Messages in:  {id, do: "open", source, decoder} | {id, do: "rows" | "images", first, count}
 *               | {id, do: "fields", name, first, count} | {id, do: "fieldTypes"} | {id, do: "validate", bytes, decoder}
 *               | {id, do: "close"}
 * Messages out: {id, result} or {id, error: {rule, code, at, what, inside}}; pixels and values are handed over, not copied.
 */

import { AefError } from "./src/errors.js";
import { open } from "./src/file.js";
import { loadPackage } from "./src/load.js";
import { validate } from "./src/validate.js";
import { useZstd } from "./src/zstd.js";

let file = null;

function needFile() {
  if (!file) throw new AefError("", "usage", 0, "no file is open");
  return file;
}

const WORK = {
  async start({ fzstd }) {
    useZstd((await import(fzstd)).Decompress);
    return { result: null };
  },
  async open({ source, decoder }) {
    file = await open(source, { decoder });
    const { kind, header, contentId, length } = file;
    return { result: { kind, header: plain(header), contentId, length } };
  },
  async rows({ first, count }) {
    const { values, ...rest } = await needFile().rows(first, count);
    const own = values.slice();
    return { result: { ...rest, values: own }, transfer: [own.buffer] };
  },
  async fields({ name, first, count }) {
    return { result: await needFile().fields(name, first, count) };
  },
  async fieldTypes() {
    return { result: await needFile().fieldTypes() };
  },
  async images({ first, count }) {
    const images = await needFile().images(first, count);
    return { result: images, transfer: images.map(({ data }) => data.buffer) };
  },
  async validate({ bytes, decoder }) {
    return { result: validate(bytes, { decoder: decoder && loadPackage(decoder) }) };
  },
  async close() {
    file = null;
    return { result: null };
  },
};

/** Maps with the prototype that a message needs. */
function plain(value) {
  return structuredClone(value);
}

async function answer(data) {
  try {
    if (!Object.hasOwn(WORK, data.do)) throw new AefError("", "usage", 0, `nothing to do is called ${data.do}`);
    const { result, transfer = [] } = await WORK[data.do](data);
    globalThis.postMessage({ id: data.id, result }, { transfer });
  } catch (error) {
    const { rule = "", code = "error", at = 0, inside = "" } = error;
    globalThis.postMessage({ id: data.id, error: { rule, code, at, inside, what: error.what ?? String(error) } });
  }
}

let before = Promise.resolve(); // one message after the other

globalThis.onmessage = ({ data }) => {
  before = before.then(() => answer(data));
};
