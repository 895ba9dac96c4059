/**
 * A validator (spec/README.md, "Who conforms"): a computing reader that also looks inside, and proves receipts.
 */

import { AefError } from "./errors.js";
import { hex } from "./bytes.js";
import { forward } from "./forward.js";
import { runPieces } from "./streams.js";

/**
 * Check a whole file.
 * @param {Uint8Array} bytes
 * @param {{decoder?: import("./package.js").Package}} [options] the decoder, where it is not in the file
 */
export function validate(bytes, { decoder } = {}) {
  const report = { valid: true, kind: "", rows: 0, chunks: 0, bytes: bytes.length, contentId: "", notChecked: "", nReceipts: 0, nProved: 0, hasDecoder: Boolean(decoder), work: 0, problems: [] };
  const steps = forward({ isValidator: true, decoder });
  try {
    const file = runPieces(steps, [bytes], (event) => {
      if (event.type === "header") report.kind = event.header.kind;
      if (event.type === "decoder") report.hasDecoder = true;
      if (event.type === "rows") report.rows += event.nRows;
    });
    Object.assign(report, {
      chunks: file.trailer.nChunks, contentId: hex(file.trailer.contentId), notChecked: file.notChecked,
      nReceipts: file.nReceipts, nProved: file.nProved, work: file.work.units,
    });
  } catch (error) {
    if (!(error instanceof AefError)) throw error;
    report.valid = false;
    report.problems.push({ rule: error.rule, code: error.code, at: error.at, message: error.what, inside: error.inside, insideAt: error.insideAt });
  }
  return report;
}
