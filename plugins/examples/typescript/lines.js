// Writes dist/js/component.js, which the component is made of: the stage, and for each line that tsc has made the
// one that it was made from, so that a stack names the author's own. build.sh runs it; a source map as it is
// would be too much for a component to read.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The numbers of a segment of a source map.
function numbers(segment) {
  const found = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = digits.indexOf(digit);
    value += (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    found.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return found;
}

const folder = "dist/js/";
const files = {};
for (const name of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js.map")).sort()) {
  const { mappings, sources } = JSON.parse(readFileSync(folder + name, "utf8"));
  let at = 0;
  const lines = mappings.split(";").map((line) => {
    let first;
    for (const [, , down = 0] of line.split(",").filter(Boolean).map(numbers)) {
      at += down;
      first ??= at + 1;
    }
    return first;
  });
  files[name.slice(0, -".map".length)] = [sources[0].replace(/^(\.\.\/)+/, ""), lines];
}

writeFileSync(
  `${folder}component.js`,
  `export { stage } from "./plugin.js";

const files = ${JSON.stringify(files)};

globalThis.originalLine = (frame) =>
  frame.replace(/\\/?dist\\/js\\/([^:]+):(\\d+)(:\\d+)?/, (whole, file, line) => {
    const [source, lines] = files[file] ?? [];
    const written = lines?.[line - 1];
    return written ? source + ":" + written : whole;
  });
`,
);
