/**
 * Every vector of spec/vectors, the way spec/README.md says: read whole, byte by byte and in halves, and validated.
 *
 *     node conformance.mjs [--json] [FOLDER OF VECTORS]
 */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runVector } from "./src/vectors.js";

const FOLDERS = ["container/valid", "container/invalid", "model/valid", "model/invalid"];
const here = dirname(fileURLToPath(import.meta.url));

/** Paths of all vectors, without suffix. */
function listVectors(root) {
  const history = readdirSync(join(root, "history"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...FOLDERS, ...history.map(({ name }) => `history/${name}`)].flatMap((folder) =>
    readdirSync(join(root, folder)).filter((name) => name.endsWith(".aef")).sort().map((name) => `${folder}/${name.slice(0, -4)}`));
}

function main(args) {
  const root = args.find((arg) => !arg.startsWith("--")) ?? join(here, "..", "..", "spec", "vectors");
  const failed = [];
  const paths = listVectors(root);
  for (const path of paths) {
    const found = runVector(path, readFileSync(join(root, `${path}.aef`)), JSON.parse(readFileSync(join(root, `${path}.json`), "utf8")));
    if (found.length) failed.push({ vector: path, problems: found });
  }
  if (args.includes("--json")) console.log(JSON.stringify({ vectors: paths.length, passed: paths.length - failed.length, failed }));
  else {
    for (const { vector, problems } of failed) console.log(`${vector}: ${problems.join("; ")}`);
    console.log(`${paths.length - failed.length} of ${paths.length} vectors passed`);
  }
  return failed.length || !paths.length ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
