// Fetches another JavaScript runtime from npm into .cache/runtimes (once) and prints the path of its binary:
//
//   $(node scripts/runtimes.mjs node24) --version
//
// Only for trying Shoal on other runtimes; nothing in the build or in `npm test` needs it.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { isMain, root, runCommand } from "./lib/project.mjs";

const architectures = {
  x64: { node: "x64", bun: "x64", deno: "x64" },
  arm64: { node: "arm64", bun: "aarch64", deno: "arm64" },
};

/** For each runtime: the npm package that carries the binary, and the binary's path inside it. */
function listRuntimes() {
  const arch = architectures[process.arch];
  if (arch === undefined) throw new Error(`no runtimes are known for the architecture ${process.arch}.`);
  const node = (major) => ({ name: `node-linux-${arch.node}`, version: String(major), binary: "bin/node" });
  return {
    node22: node(22),
    node24: node(24),
    node26: node(26),
    bun: { name: `@oven/bun-linux-${arch.bun}`, version: "latest", binary: "bin/bun" },
    deno: { name: `@deno/linux-${arch.deno}-glibc`, version: "latest", binary: "deno" },
  };
}

/** The names that `fetchRuntime` knows. */
export const runtimeNames = Object.keys(listRuntimes());

/** The path of the runtime's binary, which is fetched when it is not there yet. */
export async function fetchRuntime(runtime) {
  const found = listRuntimes()[runtime];
  if (found === undefined)
    throw new Error(`unknown runtime "${runtime}"; known: ${runtimeNames.join(", ")}.`);
  const folder = join(root, ".cache", "runtimes", runtime);
  const binary = join(folder, "node_modules", ...found.name.split("/"), ...found.binary.split("/"));
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  const flags = ["--prefix", folder, "--no-save", "--ignore-scripts", "--loglevel=error"];
  // The working folder is the prefix too, so that npm does not take this project for the one to install into.
  const wanted = `${found.name}@${found.version}`;
  const { code, output } = await runCommand("npm", ["install", ...flags, wanted], { cwd: folder });
  if (code !== 0) throw new Error(`cannot fetch ${wanted}:\n${output.trimEnd()}`);
  if (!existsSync(binary)) throw new Error(`${wanted} does not contain ${found.binary}.`);
  return binary;
}

if (isMain(import.meta.url)) {
  const [runtime = ""] = process.argv.slice(2);
  try {
    process.stdout.write(`${await fetchRuntime(runtime)}\n`);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
