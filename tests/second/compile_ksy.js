// Compiles one .ksy to Python: node compile_ksy.js NODE_PREFIX FILE.ksy OUT_FOLDER
// The compiler on npm is a library without a command line.

const fs = require("fs");
const path = require("path");

const [prefix, source, out] = process.argv.slice(2);
const load = (name) => require(path.join(path.resolve(prefix), "node_modules", name));
const compiler = load("kaitai-struct-compiler");
const yaml = load("js-yaml");

const noImports = { importYaml: (name) => Promise.reject(new Error(`import of ${name}`)) };
compiler
  .compile("python", yaml.load(fs.readFileSync(source, "utf8")), noImports, false)
  .then((files) => {
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(out, name), text);
  })
  .catch((error) => {
    console.error(String(error));
    process.exit(1);
  });
