/**
 * zstd frames (spec/container.md, sections 6 and 17): what `fzstd` does not check is checked here.
 *
 * `fzstd` decompresses (fzstd.js hands it over, because a worker finds it in another way than a page); the header, the sizes of blocks, the length and the content checksum are looked at by ourselves.
 */

import { AefError } from "./errors.js";
import { u32 } from "./bytes.js";
import { xxh64low } from "./xxh64.js";

const MAGIC = 0xfd2fb528;
const WINDOW = 8388608;
const BLOCK = 131072;

let Decompress = null;

/** @param {any} stream the class `Decompress` of `fzstd` */
export function useZstd(stream) {
  Decompress = stream;
}

/** @param {Uint8Array} b @param {number} at @param {number} n bytes of a number below 2^53 */
function number(b, at, n) {
  let value = 0;
  for (let i = n - 1; i >= 0; i--) value = value * 256 + b[at + i];
  return value;
}

/**
 * The fields of a frame header: C6-1 to C6-5.
 * @returns {{end: number, window: number}}
 */
function frameHeader(frame, rawLen, fail) {
  if (frame.length < 5 || u32(frame, 0) !== MAGIC) fail("C6-1", "no zstd frame");
  const descriptor = frame[4];
  const single = (descriptor >> 5) & 1, idBytes = [0, 1, 2, 4][descriptor & 3], sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag ? 1 << sizeFlag : single;
  const end = 5 + (single ? 0 : 1) + idBytes + sizeBytes;
  if (end > frame.length) fail("C6-1", "the frame ends inside its header");
  if (descriptor & 8) fail("C6-1", "the reserved bit of the frame header is set");
  const size = number(frame, end - sizeBytes, sizeBytes) + (sizeFlag === 1 ? 256 : 0);
  if (!sizeBytes || size !== rawLen) fail("C6-2", `the frame does not state a content size of ${rawLen}`);
  if (!(descriptor & 4)) fail("C6-3", "the frame has no content checksum");
  if (number(frame, end - sizeBytes - idBytes, idBytes)) fail("C6-4", "the frame uses a dictionary");
  const unit = 2 ** (10 + (frame[5] >> 3));
  const window = single ? size : unit + (unit / 8) * (frame[5] & 7);
  if (window > WINDOW) fail("C6-5", `a window of ${window} bytes`);
  return { end, window };
}

/** Walks over the headers of the blocks; the byte behind the last one. */
function blocks(frame, at, window, fail) {
  const most = Math.min(window, BLOCK);
  for (let isLast = false; !isLast; ) {
    if (at + 3 > frame.length) fail("C6-6", "the frame ends before its last block");
    const header = number(frame, at, 3), kind = (header >> 1) & 3, size = header >> 3;
    if (kind === 3) fail("C6-6", "a block of the reserved kind");
    if (size > most) fail("C6-6", `a block of ${size} bytes, where ${most} is the most`);
    isLast = (header & 1) === 1;
    at += 3 + (kind === 1 ? 1 : size);
  }
  return at;
}

/** The content, by the stream of `fzstd`: `decompress` would fill a short frame with zeros. */
function content(frame, rawLen, fail) {
  const out = new Uint8Array(rawLen);
  let n = 0;
  const stream = new Decompress((piece) => {
    if (n + piece.length > rawLen) fail("C6-6", `more than ${rawLen} bytes`);
    out.set(piece, n);
    n += piece.length;
  });
  try {
    stream.push(frame, true);
  } catch (error) {
    if (error instanceof AefError) throw error;
    fail("C6-6", `the frame does not decompress: ${error instanceof Error ? error.message : error}`);
  }
  if (n !== rawLen) fail("C6-6", `${n} bytes come out, not ${rawLen}`);
  return out;
}

/**
 * Decompress one payload.
 * @param {Uint8Array} frame the payload as stored
 * @param {number} rawLen bytes that must come out
 * @param {number} at its byte in the file, for errors
 */
export function decompress(frame, rawLen, at) {
  const fail = (rule, what) => {
    throw new AefError(rule, "compression", at, what);
  };
  const { end, window } = frameHeader(frame, rawLen, fail);
  const behind = blocks(frame, end, window, fail);
  if (behind + 4 !== frame.length) fail("C6-6", "the frame is not the whole payload");
  const out = content(frame, rawLen, fail);
  if (u32(frame, behind) !== xxh64low(out)) fail("C6-6", "the content checksum does not match");
  return out;
}

/**
 * Undo `shuffle`: all first bytes, then all second bytes, and so on, become values again.
 * @param {Uint8Array} bytes @param {number} width bytes of a value
 */
export function unshuffle(bytes, width) {
  if (width === 1) return bytes;
  const out = new Uint8Array(bytes.length);
  const n = bytes.length / width;
  for (let k = 0; k < width; k++) for (let i = 0, at = k * n; i < n; i++) out[i * width + k] = bytes[at + i];
  return out;
}
