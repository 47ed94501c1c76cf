// Makes one file of a module and of the packages that it imports; build.sh calls it where package.json has
// `dependencies`. Beside it is a source map, which lines.js reads.
//
//   node bundle.js SOURCE OUTPUT

import { builtinModules } from "node:module";
import process from "node:process";

const [source, output] = process.argv.slice(2);

// What Node.js has and a stage has not is lacking when it is asked for: a package may well do without.
const nodes = {
  name: "modules of Node.js",
  setup(build) {
    const names = builtinModules.map((name) => name.replaceAll("/", "\\/")).join("|");
    build.onResolve({ filter: new RegExp(`^(node:.*|${names})$`) }, async (asked) => {
      const { pluginData, importer, resolveDir, kind, path } = asked;
      if (pluginData === nodes) return undefined;
      // There are packages of these names that do the same in any engine.
      const found = await build.resolve(path, { importer, resolveDir, kind, pluginData: nodes });
      const text = `${path}: a stage has no modules of Node.js (asked for by ${asked.importer.slice(process.cwd().length + 1)})`;
      return found.errors.length > 0 ? { path: text, namespace: "lacking" } : found;
    });
    build.onLoad({ filter: /.*/, namespace: "lacking" }, ({ path }) => ({
      contents: `module.exports = {}; throw new Error(${JSON.stringify(path)});`,
    }));
  },
};

/** The bundler; `package.json` of an older project may not name it. */
async function bundler() {
  try {
    return await import("esbuild");
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error("esbuild is missing, which bundles packages: npm install --save-dev --save-exact esbuild@0.28.2");
  }
}

try {
  const esbuild = await bundler();
  await esbuild.build({
    entryPoints: [source],
    outfile: output,
    bundle: true,
    platform: "neutral",
    format: "esm",
    target: "es2023",
    mainFields: ["module", "main"],
    external: ["wharfinger:*"],
    define: { global: "globalThis", "process.env.NODE_ENV": '"production"' },
    sourcemap: "external",
    sourcesContent: false,
    legalComments: "none",
    logLevel: "warning",
    plugins: [nodes],
  });
} catch (error) {
  // What esbuild finds wrong it has said itself.
  if (!error.errors) console.error(error.message);
  process.exitCode = 1;
}
