/**
 * Where bytes come from: everything becomes `{size, read(offset, length)}`.
 */

import { AefError, usage } from "./errors.js";
import { bytesOf } from "./bytes.js";

/**
 * @typedef {object} Source
 * @property {number} size bytes of the file
 * @property {(offset: number, length: number) => Promise<Uint8Array>} read exactly these bytes
 */

function ofBytes(bytes) {
  return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

function ofBlob(blob) {
  const read = async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  return { size: blob.size, read };
}

/** What a server does not give. @param {string} what */
function unreadable(what) {
  return new AefError("", "transfer", 0, what);
}

/**
 * A file behind HTTP, read by ranges.  Every answer must be of the file that the first one was of (ETag).
 * @param {string | URL} url @param {RequestInit} [init] for `fetch`: headers, credentials
 */
async function ofUrl(url, init = {}) {
  let size = -1, etag = null;
  const ask = async (offset, length) => {
    const headers = new Headers(init.headers);
    headers.set("Range", `bytes=${offset}-${offset + length - 1}`);
    const answer = await fetch(url, { ...init, headers });
    if (answer.status === 416 && size < 0) return new Uint8Array(0);
    if (answer.status !== 206) {
      await answer.body?.cancel();
      throw unreadable(`${url}: status ${answer.status}, where 206 was asked for: the server gives no ranges`);
    }
    const [, total] = /^bytes \d+-\d+\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "") ?? [];
    if (size < 0 && total === undefined) throw unreadable(`${url}: the answer does not say how large the file is (is Content-Range exposed to this page?)`);
    const tag = answer.headers.get("ETag");
    if (size >= 0 && ((total !== undefined && Number(total) !== size) || tag !== etag)) throw unreadable(`${url}: the file has changed`);
    if (size < 0) (size = Number(total)), (etag = tag);
    return new Uint8Array(await answer.arrayBuffer());
  };
  const first = await ask(0, FIRST);
  const read = async (offset, length) => {
    if (offset + length <= first.length) return first.subarray(offset, offset + length);
    const bytes = await ask(offset, length);
    if (bytes.length !== length) throw unreadable(`${url}: ${bytes.length} bytes came, ${length} were asked for`);
    return bytes;
  };
  const stream = async () => {
    const answer = await fetch(url, init);
    const isSame = size < 0 || answer.headers.get("ETag") === etag; // of an empty file nothing is known
    if (answer.status === 200 && isSame) return answer.body;
    await answer.body?.cancel();
    throw unreadable(answer.status === 200 ? `${url}: the file has changed` : `${url}: status ${answer.status}`);
  };
  return { size: Math.max(size, 0), read, stream };
}

const FIRST = 1024; // bytes of a remote file that are fetched in one go: preamble and, nearly always, header

/**
 * @param {Uint8Array | ArrayBuffer | Blob | string | URL | Source} from
 * @param {{fetch?: RequestInit}} [options]
 * @returns {Promise<Source & {stream?: () => Promise<ReadableStream>}>}
 */
export async function toSource(from, options = {}) {
  if (from instanceof ArrayBuffer) return ofBytes(new Uint8Array(from));
  if (ArrayBuffer.isView(from)) return ofBytes(bytesOf(from));
  if (typeof Blob !== "undefined" && from instanceof Blob) return ofBlob(from);
  if (typeof from === "string" || from instanceof URL) return ofUrl(from, options.fetch);
  if (typeof from?.read === "function" && Number.isSafeInteger(from.size)) return from;
  throw usage("open() takes bytes, a Blob, a URL, or an object with size and read(offset, length)");
}
