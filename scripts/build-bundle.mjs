// Bundles src/ into dist/lib: what `import "shoal"` and its subpaths load.
//
// Node spends about 0.6 ms on each module of an ESM graph, and src/ has dozens: unbundled, importing Shoal would take
// longer than starting Node. Entries share chunks, so a class is the same class whichever subpath it came by. The
// declarations are tsc's, in dist/src.
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { isMain, listFiles, root } from "./lib/project.mjs";

const entries = {
  index: "index",
  os: "os/index",
  region: "region/index",
  heap: "heap/index",
  sync: "sync/index",
  inspect: "inspect/index",
  auto: "auto",
};

const folder = join(root, "dist", "lib");

/** The files that `buildBundle` writes, but for the shared chunks. */
export const bundleOutputs = Object.keys(entries).map((name) => join(folder, `${name}.js`));

/** Builds the bundles; returns a line with their size. */
export async function buildBundle() {
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: Object.fromEntries(
      Object.entries(entries).map(([name, path]) => [name, join(root, "src", `${path}.ts`)]),
    ),
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: true,
    metafile: true,
    absWorkingDir: process.cwd(),
    logLevel: "silent",
  });
  // Chunks are named after their content; those of earlier builds are in nobody's way but ours.
  const written = new Set(Object.keys(result.metafile.outputs).map((path) => resolve(path)));
  for (const path of listFiles(folder)) if (!written.has(path)) rmSync(path);
  const outputs = Object.entries(result.metafile.outputs).filter(([path]) => path.endsWith(".js"));
  const bytes = outputs.reduce((sum, [, output]) => sum + output.bytes, 0);
  return `${outputs.length} files, ${bytes} bytes`;
}

if (isMain(import.meta.url)) {
  try {
    process.stderr.write(`${await buildBundle()}\n`);
  } catch (error) {
    process.stderr.write(`${error.message.trimEnd()}\n`);
    process.exitCode = 1;
  }
}
