// Writes component.js into a folder of what was made from the sources: the stage, and for each line of it the one
// that it was made from, so that a stack names the author's own. build.sh runs it; a source map as it is would be
// too much for a component to read.
//
//   node lines.js FOLDER

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";

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

const folder = process.argv[2].replace(/\/*$/, "/");
const files = {};
for (const name of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js.map")).sort()) {
  const { mappings, sources } = JSON.parse(readFileSync(folder + name, "utf8"));
  // Of each line made: the source by its place in the list, and the line in it.
  let [source, at] = [0, 0];
  const lines = mappings.split(";").map((line) => {
    let first;
    for (const [, another = 0, down = 0] of line.split(",").filter(Boolean).map(numbers)) {
      source += another;
      at += down;
      first ??= [source, at + 1];
    }
    return first;
  });
  files[name.slice(0, -".map".length)] = [sources.map((path) => path.replace(/^(\.\.\/)+/, "")), lines];
}

writeFileSync(
  `${folder}component.js`,
  `export { stage } from "./plugin.js";

const files = ${JSON.stringify(files)};

globalThis.originalLine = (frame) =>
  frame.replace(/\\/?${folder.replaceAll("/", "\\/")}([^:]+):(\\d+)(:\\d+)?/, (whole, file, line) => {
    const [sources, lines] = files[file] ?? [];
    const [source, written] = lines?.[line - 1] ?? [];
    return written ? sources[source] + ":" + written : whole;
  });
`,
);
