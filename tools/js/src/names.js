/**
 * Row names (spec/container.md, section 7).
 */

import { AefError } from "./errors.js";
import { hex } from "./bytes.js";
import { decodeMap, NotCanonical } from "./msgpack.js";

const DEPTH = 4;
const UTF8 = new TextEncoder();

const ENTRIES = {
  labels: (entry) => Number.isInteger(entry) && entry >= 0 && entry <= 4294967295,
  names: (entry) => typeof entry === "string",
  sources: (entry) => entry instanceof Uint8Array && entry.length === 32,
};

/** Is it a relative path that no program need fear? (C7-2) @param {string} name */
export function isSafeName(name) {
  const n = UTF8.encode(name).length;
  if (n < 1 || n > 1024 || /[\\\u0000-\u001f\u007f]/.test(name) || /^[A-Za-z]:/.test(name)) return false;
  return name.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/**
 * Labels, names and sources of a `nAMe` payload: C3-1 to C3-5, C7-1 to C7-3.
 * @param {Uint8Array} raw @param {number} nRows @param {number} at byte of the payload
 * @returns {{labels?: number[], names?: string[], sources?: Uint8Array[]}}
 */
export function readNames(raw, nRows, at) {
  const fail = (rule, what) => {
    throw new AefError(rule, "names", at, what);
  };
  const map = parse(raw, fail);
  const keys = Object.keys(map);
  if (!keys.length) fail("C7-1", "row names without a key");
  for (const key of keys) {
    const fits = Object.hasOwn(ENTRIES, key) && Array.isArray(map[key]) && map[key].length === nRows && map[key].every(ENTRIES[key]);
    if (!fits) fail("C7-1", `"${key}" is not what row names may hold`);
  }
  const bad = map.names?.find((name) => !isSafeName(name));
  if (bad !== undefined) fail("C7-2", `the name ${JSON.stringify(bad)} is not a safe relative path`);
  if (map.names && new Set(map.names).size !== nRows) fail("C7-3", "a name occurs twice");
  return map;
}

function parse(raw, fail) {
  try {
    return decodeMap(raw, DEPTH);
  } catch (error) {
    if (error instanceof NotCanonical) fail(error.rule, error.message);
    throw error;
  }
}

/** What one row is called: its name, else its label, else its source in hex; null where there is none. */
export function nameOf(names, i) {
  if (!names) return null;
  if (names.names) return names.names[i];
  return names.labels ? String(names.labels[i]) : hex(names.sources[i]);
}
