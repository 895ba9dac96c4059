/**
 * Feeds a forward reader: from bytes at once, or from pieces as they arrive.
 */

import { bytesOf, concat } from "./bytes.js";

/**
 * Bytes that wait to be read, in the pieces in which they came.
 */
class Queue {
  constructor() {
    this.pieces = [];
    this.n = 0;
  }

  /** @param {Uint8Array} piece of Node's Buffer too, whose `slice` makes no copy */
  push(piece) {
    if (piece.length) this.pieces.push(bytesOf(piece)), (this.n += piece.length);
  }

  /** The next n bytes, or all that are left. @param {number} n */
  take(n) {
    const out = [];
    for (let left = Math.min(n, this.n); left > 0; ) {
      const piece = this.pieces[0];
      const part = piece.subarray(0, left);
      out.push(part);
      left -= part.length, (this.n -= part.length);
      if (part.length === piece.length) this.pieces.shift();
      else this.pieces[0] = piece.subarray(part.length);
    }
    return out.length === 1 ? out[0] : concat(out);
  }
}

/**
 * Run a forward reader over pieces that are all there; what it tells goes to `tell`.
 * @param {Generator<any, any, Uint8Array>} steps @param {Iterable<Uint8Array>} pieces @param {(event: any) => void} [tell]
 */
export function runPieces(steps, pieces, tell = () => {}) {
  const queue = new Queue(), source = pieces[Symbol.iterator]();
  let step = steps.next();
  while (!step.done) {
    if (typeof step.value !== "number") {
      tell(step.value);
      step = steps.next();
      continue;
    }
    for (let piece; queue.n < step.value && !(piece = source.next()).done; ) queue.push(piece.value);
    step = steps.next(queue.take(step.value));
  }
  return step.value;
}

/** The pieces of a ReadableStream, in browsers whose streams cannot be iterated too. */
async function* piecesOf(stream) {
  if (stream[Symbol.asyncIterator] || stream[Symbol.iterator]) return yield* stream;
  const reader = stream.getReader();
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
  } finally {
    reader.releaseLock();
  }
}

/**
 * What a forward reader tells of a stream, as it arrives.
 * @param {Generator<any, any, Uint8Array>} steps @param {AsyncIterable<Uint8Array> | ReadableStream} stream
 */
export async function* runStream(steps, stream) {
  const queue = new Queue(), source = piecesOf(stream);
  try {
    let step = steps.next();
    while (!step.done) {
      if (typeof step.value !== "number") {
        yield step.value;
        step = steps.next();
        continue;
      }
      for (let piece; queue.n < step.value && !(piece = await source.next()).done; ) queue.push(piece.value);
      step = steps.next(queue.take(step.value));
    }
    return step.value;
  } finally {
    await source.return();
  }
}
