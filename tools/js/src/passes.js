/**
 * Codec "rans" with passes (spec/container.md, section 6.1; spec/model.md, section 10.1).
 */

import { product } from "./bytes.js";
import { rangeOf } from "./manifest.js";
import { ARRAYS } from "./network.js";
import { gridSize, nSymbols, passWork, PHASES } from "./prior.js";
import { Lanes, lazyTables, Table } from "./rans.js";

const MOST_ELEMENTS = 536870912;

/** Symbols of pass i of a latent of h x w. */
function countSymbols(groups, i, h, w) {
  return product(gridSize(i % 4, h, w)) * groups[Math.floor(i / 4)];
}

/**
 * Steps of a payload, for C6-8; more elements than one row may make are Infinity.
 * @param {import("./package.js").Package} pkg @param {{n: number, dims: number[]}[]} sizes @param {number} nLanes
 */
export function countPassSteps(pkg, sizes, nLanes) {
  const { groups, layers } = pkg.manifest.prior.passes;
  const units = sizes.reduce((sum, { n, dims: [h, w, c] }) => {
    const { multiplyAdds, elements } = passWork(pkg, pkg.passValues, h, w);
    if (elements > MOST_ELEMENTS) return Infinity;
    let row = 10000 * layers.length + 16 * h * w * c + Math.floor(multiplyAdds / 8) + 8 * elements;
    for (let i = 0; i < 4 * groups.length; i++) row += 512 * Math.ceil(countSymbols(groups, i, h, w) / nLanes);
    return sum + n * row;
  }, 0);
  return Math.ceil(units / 4096);
}

/** The frequencies of an escape, which are nearly equal. */
function equalTable(n, total) {
  return new Table(Array.from({ length: n }, (_, s) => Math.floor((total * (s + 1)) / n) - Math.floor((total * s) / n)));
}

/** One row while it is decoded. */
class Row {
  constructor(pkg, [h, w, c], lanes) {
    const { manifest: { input, prior } } = pkg;
    Object.assign(this, { pkg, h, w, c, lanes, input, groups: prior.passes.groups, outputs: prior.passes.outputs });
    this.out = new ARRAYS[input.type](h * w * c);
    this.values = new Array(pkg.passValues.length);
    [this.lo] = rangeOf(input);
    this.n = nSymbols(input);
    this.isWrongEscape = false;
  }

  /** Values of group g as it is known after k phases. */
  known(g, k) {
    const n = this.groups[g], before = this.groups.slice(0, g).reduce((sum, size) => sum + size, 0);
    const data = new ARRAYS[this.input.type](this.h * this.w * n);
    PHASES.slice(0, k).forEach(([row, column]) => {
      for (let y = row; y < this.h; y += 2) for (let x = column; x < this.w; x += 2) {
        const at = y * this.w + x;
        for (let j = 0; j < n; j++) data[at * n + j] = this.out[at * this.c + before + j];
      }
    });
    return { data, n: 1, shape: [this.h, this.w, n] };
  }

  /** A value, made when it is first asked for: all that it depends on has been decoded by then (M10-9). */
  value(i) {
    const nKnown = 5 * this.groups.length;
    if (i < nKnown) return (this.values[i] ??= this.known(Math.floor(i / 5), i % 5));
    const { passes } = this.pkg;
    return (this.values[i] ??= passes.compute(i - nKnown, passes.layers[i - nKnown].inputs.map((input) => this.value(input))));
  }

  /** Symbols of pass i, then its escapes. */
  decode(i, tables, equal) {
    const g = Math.floor(i / 4), nGroup = this.groups[g], [y0, x0] = PHASES[i % 4];
    const nSymbolsOfPass = countSymbols(this.groups, i, this.h, this.w);
    if (!nSymbolsOfPass) return;
    const means = this.value(this.outputs[i][0]).data, picks = this.value(this.outputs[i][1]).data;
    const columns = gridSize(i % 4, this.h, this.w)[1];
    const before = this.groups.slice(0, g).reduce((sum, size) => sum + size, 0);
    const place = (j) => {
      const k = j % nGroup, at = (j - k) / nGroup, x = at % columns, y = (at - x) / columns;
      return ((2 * y + y0) * this.w + 2 * x + x0) * this.c + before + k;
    };
    const escapes = [];
    for (let j = 0; j < nSymbolsOfPass; j++) {
      const s = this.lanes.next(j % this.lanes.n, tables(picks[j]));
      if (s === this.n) escapes.push(j);
      else this.out[place(j)] = this.latent(s, means[j]);
    }
    escapes.forEach((j, k) => {
      const s = this.lanes.next(k % this.lanes.n, equal);
      if (tables(picks[j]).frequency[s] >= 1) this.isWrongEscape = true;
      this.out[place(j)] = this.latent(s, means[j]);
    });
  }

  latent(s, mean) {
    const r = (s + mean - this.lo) % this.n;
    return this.lo + (r < 0 ? r + this.n : r);
  }
}

/**
 * The values of a code with passes: C6-11 to C6-13.
 * @param {Uint8Array} code @param {any} pkg the decoder @param {{n: number, dims: number[]}[]} sizes
 * @returns {Uint8Array} bytes of the values
 */
export function decodePasses(code, pkg, sizes, fail) {
  const { manifest: { input, prior }, tensors } = pkg;
  const tables = (pkg.tables ??= lazyTables(tensors[prior.tables]));
  const equal = equalTable(nSymbols(input), 2 ** prior.bits);
  const lanes = new Lanes(code, prior.bits, fail);
  const out = new Uint8Array(sizes.reduce((sum, { n, dims }) => sum + n * product(dims), 0));
  let at = 0, isWrongEscape = false;
  for (const { n, dims } of sizes) for (let i = 0; i < n; i++) {
    const row = new Row(pkg, dims, lanes);
    for (let pass = 0; pass < 4 * row.groups.length; pass++) row.decode(pass, tables, equal);
    out.set(new Uint8Array(row.out.buffer), at);
    at += row.out.length;
    isWrongEscape ||= row.isWrongEscape;
  }
  lanes.finish();
  if (isWrongEscape) fail("C6-13", "an escape for a symbol that has a frequency");
  return out;
}
