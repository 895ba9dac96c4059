/**
 * What a conformance run compares (spec/README.md, "Vectors").  Runs in Node and in a browser.
 */

import "./fzstd.js";
import { AefError } from "./errors.js";
import { concat, hex } from "./bytes.js";
import { contentBytes } from "./encodings.js";
import { forward } from "./forward.js";
import { isMap } from "./msgpack.js";
import { sha256 } from "./sha256.js";
import { runPieces } from "./streams.js";
import { validate } from "./validate.js";

const MOST_BYTES = 20000; // a larger file is not fed byte by byte

/** The ways in which bytes arrive. */
function feeds(bytes) {
  const half = Math.floor(bytes.length / 2);
  const ways = [[bytes], [bytes.subarray(0, half), bytes.subarray(half)]];
  return bytes.length > MOST_BYTES ? ways : [...ways, Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))];
}

/** As the JSON of a vector writes it. */
function plain(value) {
  if (value instanceof Uint8Array) return { hex: hex(value) };
  if (Array.isArray(value)) return value.map(plain);
  return isMap(value) ? Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)])) : value;
}

const canonical = (value) =>
  JSON.stringify(value, (_, entry) => (isMap(entry) ? Object.fromEntries(Object.keys(entry).sort().map((key) => [key, entry[key]])) : entry));

function compare(problems, what, got, want) {
  if (canonical(got) !== canonical(want)) problems.push(`${what}: ${canonical(got)}, not ${canonical(want)}`.slice(0, 500));
}

/**
 * What is wrong with what this package makes of one vector; nothing if it passes.
 * @param {string} path folder and name @param {Uint8Array} bytes @param {any} want its JSON
 * @returns {string[]}
 */
export function runVector(path, bytes, want) {
  const problems = [];
  try {
    if (want.code) invalid(problems, bytes, want);
    else if (want.kind === "model") validModel(problems, bytes, want);
    else validLatents(problems, bytes, want);
  } catch (error) {
    problems.push(error instanceof AefError ? `${error.code} ${error.message}` : `${error?.stack ?? error}`);
  }
  return problems;
}

function refusal(steps, pieces) {
  try {
    runPieces(steps, pieces);
  } catch (error) {
    if (error instanceof AefError) return { rule: error.rule, code: error.code, at: error.at, inside: error.inside };
    throw error;
  }
  return null;
}

function invalid(problems, bytes, want) {
  const { rule, code, at, only, inside = "" } = want;
  const error = { rule, code, at, inside };
  const first = validate(bytes).problems[0];
  compare(problems, "validator", first && { rule: first.rule, code: first.code, at: first.at, inside: first.inside }, error);
  const isComputed = rule === "M6-2" || only === "computing reader";
  for (const pieces of feeds(bytes)) {
    const expected = only === "validator" ? null : error;
    compare(problems, "reader", refusal(forward({ isComputing: isComputed && only !== "validator" }), pieces), expected);
  }
}

function readAll(bytes, pieces) {
  const rows = [];
  let header;
  const file = runPieces(forward(), pieces, (event) => {
    if (event.type === "rows") rows.push(event);
    if (event.type === "header") header = event.header;
  });
  return { file, rows, header };
}

function names(found) {
  return found && plain({ ...found });
}

/** A number of a field: a NaN or an infinity is written as the hex of its float64. */
function plainNumber(x) {
  if (typeof x !== "number" || Number.isFinite(x)) return typeof x === "bigint" ? Number(x) : plain(x);
  return { hex: hex(contentBytes(Float64Array.of(x), "f64")) };
}

/** A field row by row: a list for each where the field has sizes. */
function plainColumn({ sizes, values }, nRows) {
  const all = Array.from(values, plainNumber), each = all.length / nRows;
  return sizes.length ? Array.from({ length: nRows }, (_, i) => all.slice(i * each, (i + 1) * each)) : all;
}

function fields(found, nRows) {
  return found && Object.fromEntries(Object.entries(found).map(([name, column]) => [name, plainColumn(column, nRows)]));
}

function validLatents(problems, bytes, want) {
  const has = (key) => key in want;
  for (const pieces of feeds(bytes)) {
    const { file, rows, header } = readAll(bytes, pieces);
    for (const key of ["kind", "dims", "encoding", "codec", "values"]) compare(problems, key, header[key], want[key]);
    compare(problems, "image", header.image ?? null, want.image);
    if (has("filter")) compare(problems, "filter", header.filter ?? "none", want.filter);
    for (const key of ["decoder", "encoder"]) if (has(key)) compare(problems, key, header[key] ? hex(header[key]) : null, want[key]);
    if (has("ext")) compare(problems, "ext", plain(header.ext ?? {}), want.ext);
    compare(problems, "described", plain(header.described ?? null), want.described ?? null);
    compare(problems, "foreign_decoder", header.foreign_decoder ? hex(header.foreign_decoder) : null, want.foreign_decoder ?? null);
    const { trailer } = file;
    compare(problems, "n_rows", Number(trailer.nRows), want.n_rows);
    compare(problems, "content_id", hex(trailer.contentId), want.content_id);
    if (has("n_chunks")) compare(problems, "n_chunks", trailer.nChunks, want.n_chunks);
    if (has("has_index")) compare(problems, "has_index", trailer.indexAt > 0n, want.has_index);
    const values = concat(rows.map((row) => contentBytes(row.values, header.values)));
    compare(problems, "values_sha256", hex(sha256(values)), want.values_sha256);
    if (has("values_hex")) compare(problems, "values_hex", hex(values), want.values_hex);
    comparePerRows(problems, rows, want);
  }
  const report = validate(bytes);
  compare(problems, "problems", report.problems, []);
  if (has("file_work")) compare(problems, "file_work", report.work, want.file_work);
  if (has("receipts")) compare(problems, "receipts", report.nReceipts, want.receipts.flat().length);
  if (has("receipts")) compare(problems, "proved", report.nProved, report.hasDecoder ? report.nReceipts : 0);
}

function comparePerRows(problems, rows, want) {
  if (!("n_chunks" in want)) { // a file of history: names of all rows together
    const all = rows.flatMap(({ names: found }) => (found ? found.names ?? found.labels ?? found.sources : []));
    return compare(problems, "names", all.length ? plain(all) : null, want.names);
  }
  compare(problems, "names", rows.map((row) => names(row.names)), want.names ?? rows.map(() => null));
  compare(problems, "fields", rows.map((row) => fields(row.fields, row.nRows)), want.fields ?? rows.map(() => null));
  const digests = (all) => all && Array.from({ length: all.length / 32 }, (_, i) => hex(all.subarray(32 * i, 32 * i + 32)));
  compare(problems, "receipts", rows.map((row) => digests(row.receipts)), want.receipts ?? rows.map(() => null));
  if (want.sizes) compare(problems, "sizes", rows.map((row) => row.sizes.map(({ n, free }) => [n, ...free])), want.sizes);
}

function validModel(problems, bytes, want) {
  let pkg;
  for (const pieces of feeds(bytes)) {
    const file = runPieces(forward({ isComputing: true }), pieces);
    pkg = file.package;
    compare(problems, "model_id", hex(pkg.modelId), want.model_id);
    for (const key of ["role", "profile"]) compare(problems, key, pkg[key], want[key]);
    if (!("work" in want)) continue;
    for (const key of ["input", "output"]) compare(problems, key, plain(pkg[key]), want[key]);
    compare(problems, "decoder", pkg.manifest.decoder ? hex(pkg.manifest.decoder) : null, want.decoder);
    compare(problems, "n_chunks", file.trailer.nChunks, want.n_chunks);
    compare(problems, "n_tensors", pkg.tensors.length, want.n_tensors);
    compare(problems, "work", pkg.work, want.work);
  }
  const report = validate(bytes);
  compare(problems, "problems", report.problems, []);
  if ("file_work" in want) compare(problems, "file_work", report.work, want.file_work);
  compareRows(problems, pkg, want);
}

function compareRows(problems, pkg, want) {
  const { sizes_in: sizesIn, sizes_out: sizesOut } = want;
  const numbers = (row) => (pkg.input.type === "f32" ? Float64Array.from(row) : Int32Array.from(row));
  (want.rows_in ?? []).forEach((row, i) => {
    const isDecoder = pkg.role === "decoder";
    const sizes = sizesIn ? { size: isDecoder ? sizesOut[i] : sizesIn[i], ...(isDecoder && { latent: sizesIn[i] }) } : {};
    const got = pkg.run(numbers(row), sizes);
    const expected = want.rows_out[i];
    const most = pkg.profile === "exact" ? 0 : pkg.output.type === "f32" ? 2 ** -14 : 1;
    const bad = expected.findIndex((x, k) => Math.abs(got[k] - x) > most * (pkg.output.type === "f32" ? Math.max(1, Math.abs(x)) : 1));
    if (got.length !== expected.length || bad >= 0) problems.push(`row ${i}: number ${bad} of ${got.length} is ${got[bad]}, not ${expected[bad]}`);
  });
  for (const row of want.rows_refused ?? []) {
    try {
      pkg.run(numbers(row));
      problems.push("a row that breaks M4-7 was taken");
    } catch (error) {
      if (!(error instanceof AefError)) throw error;
      compare(problems, "rows_refused", error.rule, "M4-7");
    }
  }
}
