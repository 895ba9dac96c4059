/**
 * aeformat: reads, checks and decodes .aef files.  Written from the specification alone (spec/ of the repository).
 */

export { AefError } from "./src/errors.js";
export { open, readStream } from "./src/file.js";
export { loadPackage } from "./src/load.js";
export { validate } from "./src/validate.js";
export { paint } from "./src/paint.js";
