// Makes a component of a module of JavaScript; build.sh calls it.
//
//   node make-component.js SOURCE OUTPUT

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";
import { componentize } from "componentize-qjs";
import { stillEngine } from "./engine.js";

// With it one source gives one component; without it, a component that works as well.
function runtime() {
  const loaded = Object.keys(createRequire(import.meta.url).cache).find((path) => path.endsWith(".node"));
  try {
    return { runtimeBytes: stillEngine(readFileSync(loaded)) };
  } catch (error) {
    console.error(`build.sh: the component is not reproducible, each build has another digest: ${error.message} (${loaded})`);
    return { sync: true };
  }
}

const [source, output] = process.argv.slice(2);
try {
  const { component } = await componentize({
    witPath: "wit",
    world: "stage-component",
    jsPath: source,
    jsSource: readFileSync(source, "utf8"),
    moduleRoot: ".",
    // A stage needs nothing of it.
    stubWasi: true,
    ...runtime(),
  });
  writeFileSync(output, component);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
