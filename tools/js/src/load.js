/**
 * A model package from its bytes, ready to compute.
 */

import { usage } from "./errors.js";
import { forward } from "./forward.js";
import { runPieces } from "./streams.js";

/**
 * Read and check a package, and try its golden set (M6-2).
 * @param {Uint8Array} bytes of the whole file @param {{maxWork?: number}} [limits] `maxWork`: M7-1
 * @returns {import("./package.js").Package}
 * @throws {AefError}
 */
export function loadPackage(bytes, { maxWork } = {}) {
  const file = runPieces(forward({ isComputing: true, maxWork }), [bytes], (event) => {
    if (event.type === "header" && event.header.kind !== "model") throw usage("the file holds latents, not a model package");
  });
  return file.package;
}

