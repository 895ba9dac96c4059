/**
 * What a reader says of a bad file: the rule it breaks, the code and the byte (spec/container.md, section 16).
 */

/** A broken rule, or something that a caller cannot have. */
export class AefError extends Error {
  /**
   * @param {string} rule the number of the rule, "C4-11"; "" where no rule is broken
   * @param {string} code of spec/registry.json
   * @param {number} at byte offset
   * @param {string} what a sentence for people; no promise
   * @param {string} inside "dECo" where `at` counts from the embedded decoder, else ""
   */
  constructor(rule, code, at, what, inside = "") {
    super(rule ? `${what} (rule ${rule}, byte ${at}${inside ? " of the decoder inside" : ""})` : what);
    this.name = "AefError";
    this.rule = rule;
    this.code = code;
    this.at = at;
    this.what = what;
    this.inside = inside;
    this.insideAt = 0;
  }
}

/** The same error, of a byte inside an embedded decoder. @param {AefError} error @param {number} insideAt byte of that in the file */
export function insideDecoder(error, insideAt) {
  return Object.assign(new AefError(error.rule, error.code, error.at, error.what, "dECo"), { insideAt });
}

/** No broken rule: the decoder that the file names is not at hand. @param {string} what */
export function decoderMissing(what) {
  return new AefError("", "decoder-missing", 0, what);
}

/** No broken rule: the caller asked for something that cannot be done. @param {string} what */
export function usage(what) {
  return new AefError("", "usage", 0, what);
}
