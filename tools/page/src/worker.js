/**
 * The page's worker: opens files, decodes, checks.  The page starts two, so that a long check never keeps an image waiting.
 *
 * It is a worker of its own beside that of the package (tools/js/worker.js): the page is one file, so its worker is a text
 * without modules, and it has several files open, reads bytes that belong to no open file, and runs latents that a person has moved.
 *
 * Messages in: {id, do, key, ...}.  Messages out: {id, result} or {id, error} or {id, progress}.
 */

import { Decompress } from "fzstd";
import { bytesOf, equal, hex, product } from "../../js/src/bytes.js";
import { AefError } from "../../js/src/errors.js";
import { open } from "../../js/src/file.js";
import { forward } from "../../js/src/forward.js";
import { loadPackage } from "../../js/src/load.js";
import { readStart } from "../../js/src/seek.js";
import { toSource } from "../../js/src/source.js";
import { runStream } from "../../js/src/streams.js";
import { rowWork } from "../../js/src/work.js";
import { useZstd } from "../../js/src/zstd.js";
import { ChunkList } from "./chunklist.js";
import { decode as decodeBlock, errorOf } from "./pixels.js";
import { survey } from "./survey.js";

useZstd(Decompress);

const PIECE = 1048576;
// Of one image: some minutes, and a gigabyte or two.  A file can state any size in a few bytes, and a worker cannot be asked to stop.
const MOST_WORK = 2 ** 38, MOST_ELEMENTS = 2 ** 30;
const TYPES = { u8: Uint8Array, i8: Int8Array, u16: Uint16Array, f64: Float64Array, f32: Float32Array, f16: Float32Array, bf16: Float32Array };

/** Key -> {source, file, pkg, against}. */
const files = new Map();

function usage(what) {
  return new AefError("", "usage", 0, what);
}

function get(key) {
  const found = files.get(key);
  if (!found) throw usage("no such file is open");
  return found;
}

/** @param {any} from a Blob, a URL, or {url, headers} */
function sourceOf(from) {
  return from.url ? toSource(from.url, { fetch: { headers: from.headers } }) : toSource(from);
}

/** What a package says of itself, for people. @param {any} pkg */
function describe(pkg) {
  const { layers, tensors, prior } = pkg.manifest;
  return {
    ...pkg.describe(), isFree: pkg.isFree, prior: Boolean(prior),
    layers: layers.map(({ kind, weights }) => ({ kind, shape: weights === undefined ? null : tensors[weights].shape })),
    parameters: tensors.reduce((sum, { shape }) => sum + product(shape), 0),
  };
}

/** The package in these bytes, if it is one, whole and proved, and the one that is wanted; else null. */
function packageOf(bytes, wanted) {
  try {
    const pkg = loadPackage(bytes);
    return wanted && equal(pkg.modelId, wanted) ? pkg : null;
  } catch (error) {
    if (error instanceof AefError) return null;
    throw error;
  }
}

/** Refuse to make an image that is too large for a page. @param {number[]} dims of its latent @param {number[]} image */
function checkSize(pkg, dims, image) {
  if (!pkg?.isFree) return;
  const values = pkg.valuesAt(dims.slice(0, 2));
  if (rowWork(pkg.manifest, values) <= MOST_WORK && values.reduce((sum, { shape }) => sum + product(shape), 0) <= MOST_ELEMENTS) return;
  throw usage(`an image of ${image[1]} x ${image[0]} pixels is too large for this page; aeformat unpack decodes it`);
}

/** All bytes of a file in order, noting its chunks. */
async function* pieces(source, list, tell) {
  let at = 0, told = 0;
  for await (const piece of source.stream ? bodyOf(await source.stream()) : ranges(source)) {
    list?.take(piece, at);
    yield piece;
    at += piece.length;
    if (at - told >= PIECE) tell((told = at));
  }
}

async function* ranges({ size, read }) {
  for (let at = 0; at < size; at += PIECE) yield bytesOf(await read(at, Math.min(PIECE, size - at)));
}

async function* bodyOf(stream) {
  const reader = stream.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
}

/** null where the header is broken, which the check says. */
async function chunkList(source) {
  try {
    return new ChunkList(await readStart(source));
  } catch (error) {
    if (error instanceof AefError) return null;
    throw error;
  }
}

const WORK = {
  /** Open a file: its header, and what its trailer says. */
  async open({ key, source, against }) {
    const bytes = await sourceOf(source);
    files.set(key, { source: bytes, file: null, pkg: null, against: against ? { ...against, source: await sourceOf(against.source) } : null });
    const file = await open(bytes);
    get(key).file = file;
    const { kind, header, preamble, contentId, length = 0 } = file;
    return { result: structuredClone({ kind, header, minor: preamble.minor, flags: preamble.flags, contentId, length, size: bytes.size }) };
  },

  /** How many bytes a file has that may not open. */
  async size({ key }) {
    return { result: get(key).source.size };
  },

  async bytes({ key, at, n }) {
    const { source } = get(key);
    const bytes = (await source.read(at, Math.max(0, Math.min(n, source.size - at)))).slice();
    return { result: bytes, transfer: [bytes.buffer] };
  },

  /** The decoder: the one given, else the one inside.  null where there is none, or what was given is not that decoder. */
  async decoder({ key, bytes }) {
    const entry = get(key);
    if (entry.file.kind === "model") entry.pkg = await entry.file.load();
    else {
      const pkg = bytes ? packageOf(bytes, entry.file.header.decoder) : null;
      if (bytes && !pkg) return { result: null };
      if (pkg) entry.file.useDecoder(pkg);
      entry.pkg = await entry.file.decoder();
    }
    return { result: entry.pkg && describe(entry.pkg) };
  },

  async images({ key, first, count }) {
    const { file, pkg, against } = get(key);
    if (pkg?.isFree) for (const { dims, image } of (await file.rows(first, count)).sizes) checkSize(pkg, dims, image);
    const images = await file.images(first, count);
    const originals = against ? await decodeBlock(against, first, count) : [];
    const out = images.map((image, i) => ({ ...image, ...(against && errorOf(image, originals[i])) }));
    return { result: out, transfer: out.flatMap(({ data, original }) => [data.buffer, ...(original ? [original.data.buffer] : [])]) };
  },

  async row({ key, row }) {
    const { values, sizes } = await get(key).file.rows(row, 1);
    const own = values.slice();
    return { result: { values: own, dims: sizes[0].dims, image: sizes[0].image }, transfer: [own.buffer] };
  },

  /** What the decoder makes of one latent. */
  async run({ key, values, dims, image }) {
    const { pkg } = get(key);
    if (!pkg || pkg.role !== "decoder" || pkg.output.type !== "u8") throw usage("there is no decoder that makes images");
    checkSize(pkg, dims, image);
    const latent = TYPES[pkg.input.type].from(values);
    const made = pkg.isFree ? pkg.run(latent, { size: image.slice(0, 2), latent: dims.slice(0, 2) }) : pkg.run(latent);
    const [height, width, channels] = pkg.isFree ? [...image.slice(0, 2), pkg.output.shape[2]] : pkg.output.shape;
    const data = made.slice();
    return { result: { data, height, width, channels, name: null }, transfer: [data.buffer] };
  },

  /** Histogram and map of the latents. */
  async survey({ key }) {
    return { result: await survey(get(key).file) };
  },

  /** Every rule of a validator, and the list of chunks. */
  async check({ source: from, decoder }, tell) {
    const source = await sourceOf(from);
    const list = await chunkList(source);
    const report = { rows: 0, notChecked: "", nReceipts: 0, nProved: 0, hasDecoder: Boolean(decoder), problems: [] };
    try {
      const steps = runStream(forward({ isValidator: true, decoder: decoder && loadPackage(decoder) }), pieces(source, list, tell));
      let step = await steps.next();
      for (; !step.done; step = await steps.next()) {
        if (step.value.type === "decoder") report.hasDecoder = true;
        if (step.value.type === "rows") report.rows += step.value.nRows;
      }
      const { notChecked, nReceipts, nProved } = step.value;
      Object.assign(report, { notChecked, nReceipts, nProved });
    } catch (error) {
      if (!(error instanceof AefError)) throw error;
      report.problems.push(plain(error));
    }
    return { result: { ...report, ...(list?.found ?? { chunks: [], nChunks: null, trailerAt: null }) } };
  },

  /** The model id that a file says to be a package of; null where it says nothing like that.  Who uses it proves it. */
  async identify({ source: from }) {
    const source = await sourceOf(from);
    const { header } = await readStart(source);
    return { result: header.kind === "model" ? hex(header.model) : null };
  },

  async close({ key }) {
    files.delete(key);
    return { result: null };
  },
};

/** An error as a message can carry it. */
function plain({ rule = "", code = "error", at = 0, inside = "", insideAt = 0, what, message }) {
  return { rule, code, at, inside, insideAt, message: what ?? message };
}

async function answer(data) {
  const tell = (progress) => globalThis.postMessage({ id: data.id, progress });
  try {
    if (!Object.hasOwn(WORK, data.do)) throw usage(`nothing to do is called ${data.do}`);
    const { result, transfer = [] } = await WORK[data.do](data, tell);
    globalThis.postMessage({ id: data.id, result }, { transfer });
  } catch (error) {
    globalThis.postMessage({ id: data.id, error: plain(error) });
  }
}

let before = Promise.resolve(); // one message after the other

globalThis.onmessage = ({ data }) => {
  before = before.then(() => answer(data));
};
