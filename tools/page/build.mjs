/**
 * Builds the page of `aeformat view`: one HTML file with its script, its worker and its style inside.
 *
 *     npm ci && npm run build            writes aeformat/data/view.html, which goes into the wheel and not into git
 *     node build.mjs FILE                writes FILE
 *
 * The same sources and the same package-lock.json give the same bytes.
 */

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const OUT = process.argv[2] ?? path("../../aeformat/data/view.html");
const LICENCES = ["preact", "fzstd"]; // what becomes part of the page

const COMMON = {
  bundle: true, minify: true, write: false, format: "iife", charset: "utf8", target: "es2022", legalComments: "none",
  alias: { fzstd: path("node_modules/fzstd") },
};

async function bundle(entry, options = {}) {
  const { outputFiles } = await build({ ...COMMON, entryPoints: [path(entry)], ...options });
  return outputFiles[0].text;
}

const worker = await bundle("src/worker.js");
const script = await bundle("src/main.jsx", {
  jsx: "automatic", jsxImportSource: "preact",
  plugins: [{
    name: "worker",
    setup(it) {
      it.onResolve({ filter: /^worker:text$/ }, ({ path: name }) => ({ path: name, namespace: "worker" }));
      it.onLoad({ filter: /.*/, namespace: "worker" }, () => ({ contents: worker, loader: "text" }));
    },
  }],
});
const style = await bundle("src/style.css");

const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
const policy = [
  "default-src 'none'", `script-src ${hash(script)}`, `style-src ${hash(style)}`, "worker-src blob:", "connect-src 'self'",
  "img-src data: blob:", "base-uri 'none'", "form-action 'none'",
].join("; ");
const notices = LICENCES.map((name) => `${name}\n\n${readFileSync(path(`node_modules/${name}/LICENSE`), "utf8").trim()}`).join("\n\n");
const parts = { POLICY: policy, STYLE: style, SCRIPT: script, NOTICES: notices.replaceAll("--", "- -") };
const page = readFileSync(path("src/page.html"), "utf8").replace(/%(POLICY|STYLE|SCRIPT|NOTICES)%/g, (_, name) => parts[name]);
writeFileSync(OUT, page);
console.log(`${OUT}: ${page.length} characters`);
