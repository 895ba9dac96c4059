/**
 * One file on the page: what is known of it so far.  A component listens by `useListened`.
 */

import { hex } from "../../js/src/bytes.js";
import { Listened } from "./listened.js";
import { Pictures } from "./pictures.js";

const WAIT_BYTES = 1 << 25; // files up to this size are checked before a pixel is shown
let count = 0;

export class Document extends Listened {
  /**
   * @param {{look: any, check: any}} engines @param {{name: string, source: any, against?: any}} file
   * @param {(id: string) => AsyncIterable<{bytes: Uint8Array, place: string}>} findDecoders what may be the decoder, the nearest first
   */
  constructor(engines, { name, source, against }, findDecoders) {
    super();
    Object.assign(this, { engines, name, source, against, findDecoders, key: ++count });
    this.summary = this.decoder = this.report = this.pictures = this.problem = null;
    this.size = 0;
    this.checked = 0; // bytes
    this.place = ""; // of the decoder
  }

  ask(message) {
    return this.engines.look.ask({ key: this.key, ...message });
  }

  async load() {
    const bytes = await this.#open();
    if (this.size > WAIT_BYTES) this.#show();
    await this.#check(bytes);
    this.#show();
  }

  /** Look for the decoder again. */
  async again() {
    this.set({ decoder: null, report: null, problem: null, pictures: null, checked: 0, place: "" });
    await this.load();
  }

  /** The model id that the file needs, in hex; "" where it names none. */
  get needs() {
    const { decoder } = this.summary?.header ?? {};
    return decoder ? hex(decoder) : "";
  }

  /** The first broken rule, once the file has been checked: reading it by places may meet another one first. */
  get problems() {
    if (!this.report) return [];
    const found = [...(this.report?.problems ?? [])];
    if (this.problem && !found.length) found.push(this.problem);
    return found;
  }

  /** Header and decoder. @returns {Promise<Uint8Array | null>} a decoder from outside */
  async #open() {
    try {
      const summary = await this.ask({ do: "open", source: this.source, against: this.against });
      this.set({ summary, size: summary.size });
      return await this.#openDecoder();
    } catch (error) {
      if (!error.problem) throw error;
      this.set({ problem: error.problem });
      if (!this.size) await this.ask({ do: "size" }).then((size) => this.set({ size }), () => this.set({ size: 0 }));
      return null;
    }
  }

  async #openDecoder() {
    const inside = await this.ask({ do: "decoder" });
    if (inside) return this.#take(inside, this.summary.kind === "model" ? "this file" : "inside the file", null);
    for await (const { bytes, place } of this.needs ? this.findDecoders(this.needs) : []) {
      const decoder = await this.ask({ do: "decoder", bytes }); // null: it says to be the decoder, and is not
      if (decoder) return this.#take(decoder, place, bytes);
    }
    return this.#take(null, "", null);
  }

  #take(decoder, place, bytes) {
    this.set({ decoder, place: decoder ? place : "" });
    return decoder ? bytes : null;
  }

  async #check(decoder) {
    try {
      const ask = { do: "check", source: this.source, decoder: this.problem ? null : decoder };
      const report = await this.engines.check.ask(ask, (checked) => this.set({ checked }));
      this.set({ report });
    } catch (error) {
      if (!error.problem) throw error;
      this.set({ report: { problems: [error.problem], chunks: [], nChunks: null, trailerAt: null, nReceipts: 0, nProved: 0, notChecked: "" } });
    }
  }

  #show() {
    if (this.pictures || !this.summary || this.summary.kind !== "latents" || !this.decoder || this.problem || this.problems.length) return;
    this.set({ pictures: new Pictures(this, this.summary.length) });
  }
}
