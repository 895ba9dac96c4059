/**
 * A decoder that travels in a file (spec/container.md, section 7).
 */

import { AefError } from "./errors.js";
import { forward } from "./forward.js";

/**
 * The package that the bytes are.
 * @param {Uint8Array} bytes
 * @param {import("./forward.js").ForwardOptions} options
 * @returns {import("./package.js").Package}
 * @throws {AefError} rule C7-4 where they hold latents
 */
export function readInside(bytes, options) {
  const steps = forward(options);
  let at = 0;
  for (let step = steps.next(); ; ) {
    if (step.done) return step.value.package;
    if (step.value.type === "header" && step.value.header.kind !== "model") {
      throw new AefError("C7-4", "structure", 0, "the decoder inside is no model package");
    }
    const n = typeof step.value === "number" ? step.value : 0;
    step = steps.next(bytes.subarray(at, at + n));
    at = Math.min(at + n, bytes.length);
  }
}
