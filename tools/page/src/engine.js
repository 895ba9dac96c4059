/**
 * A worker, asked by messages and answering by promises.
 */

import workerText from "worker:text";

let url = null;

/** What the worker could not do: a broken rule, or something that cannot be had. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.message);
    this.problem = problem;
  }
}

export class Engine {
  constructor() {
    url ??= URL.createObjectURL(new Blob([workerText], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.waiting = new Map();
    this.last = 0;
    this.worker.onmessage = ({ data }) => this.#take(data);
    this.worker.onerror = ({ message }) => this.#fail(message);
  }

  /** @param {object} message @param {(progress: number) => void} [onProgress] bytes that are done */
  ask(message, onProgress) {
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, onProgress });
      this.worker.postMessage({ id, ...message });
    });
  }

  #take({ id, result, error, progress }) {
    const one = this.waiting.get(id);
    if (progress !== undefined) return one?.onProgress?.(progress);
    this.waiting.delete(id);
    if (error) one?.reject(new Refused(error));
    else one?.resolve(result);
  }

  /** The worker itself has ended: out of memory, say. */
  #fail(message) {
    for (const { reject } of this.waiting.values()) reject(new Refused({ rule: "", code: "error", at: 0, message: message || "the worker has ended" }));
    this.waiting.clear();
  }
}
