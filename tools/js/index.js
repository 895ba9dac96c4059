/**
 * aeformat: reads, checks and decodes .aef files.  Written from the specification alone (spec/ of the repository).
 */

import "./src/fzstd.js";

export { AefError } from "./src/errors.js";
export { open, readStream } from "./src/file.js";
export { loadPackage } from "./src/load.js";
export { validate } from "./src/validate.js";
export { paint } from "./src/paint.js";

/** A worker that knows where this page finds `fzstd`: worker.js says which messages it takes. @returns {Worker} */
export function startWorker() {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  worker.postMessage({ do: "start", fzstd: import.meta.resolve("fzstd") });
  return worker;
}
