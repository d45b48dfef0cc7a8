// The house rules that no linter knows: which room may import which, what the layout files may contain,
// how long a file may grow. Each violation is printed with its place and how to mend it; any makes the
// exit code 1.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isMain, listFiles, relativePath, root as projectRoot } from "./lib/project.mjs";

/** Rooms from the lowest to the highest. A room imports itself and lower ones. */
export const rooms = ["layout", "os", "region", "heap", "sync", "data", "adapters", "inspect", "cli"];

/** The longest file, in lines. */
const maxLines = 500;

/** Files that the rule about length covers. */
const measuredFolders = ["src", "core", "native"];

/** Folders whose relative imports are checked. */
const importingFolders = ["src", "core", "test", "bench", "storm", "examples"];

// A statement's import (also across lines), an import for its effect only, and import(). A statement
// starts its line, which keeps the examples inside comments out.
const importPattern = new RegExp(
  [
    String.raw`^(?:import|export)\b[^;'"()=]*?\bfrom\s*["'](?<from>[^"']+)["']`,
    String.raw`^import\s*["'](?<effect>[^"']+)["']`,
    String.raw`^(?!\s*(?:\*|//)).*?\bimport\(\s*["'](?<dynamic>[^"']+)["']`,
  ].join("|"),
  "gm",
);

const lineAt = (text, index) => text.slice(0, index).split("\n").length;

/** The imports of a TypeScript or AssemblyScript text: `{ specifier, line }` each. */
export function findImports(text) {
  return [...text.matchAll(importPattern)].map((match) => {
    const specifier = match.groups.from ?? match.groups.effect ?? match.groups.dynamic;
    return { specifier, line: lineAt(text, match.index + match[0].lastIndexOf(specifier)) };
  });
}

/** Where in the house a path (relative to the root) lies. */
function placeOf(path) {
  const [folder, ...rest] = path.split("/");
  if (folder !== "src") return { folder };
  if (rest.length === 1) return { folder, isErrors: rest[0] === "errors.ts", isTop: rest[0] !== "errors.ts" };
  return { folder, room: rest[0] };
}

const downwards = `imports run downwards: ${[...rooms].reverse().join(" -> ")}`;

/** Why a room must not import a file inside src; undefined when it may. */
function refuseRoomImport(from, target, targetPath) {
  if (target.isErrors) {
    return from.room === "layout"
      ? "src/layout must import only src/layout; throw in a higher room."
      : undefined;
  }
  const isPublic = target.isTop || targetPath.endsWith("/index.ts");
  if (from.room === "cli" && target.room !== "cli" && !isPublic) {
    return "src/cli calls the public API only: import the room's index.ts, and export there what is missing.";
  }
  if (target.isTop) {
    return from.room === "cli"
      ? undefined
      : `${targetPath} is above the rooms; import the room that has the name.`;
  }
  const isUpwards = rooms.indexOf(target.room) > rooms.indexOf(from.room);
  return isUpwards
    ? `src/${from.room} must not import src/${target.room}; ${downwards}. Move the shared part down.`
    : undefined;
}

function refuseSourceImport(from, target, targetPath) {
  if (from.isErrors) return "src/errors.ts imports nothing: every room stands on it.";
  if (target.folder !== "src") return `src must not import ${target.folder}/: it is not part of the package.`;
  if (from.isTop) {
    return target.room === "cli" ? "the main entries must not import src/cli: it needs packages." : undefined;
  }
  return refuseRoomImport(from, target, targetPath);
}

function refuseRelativeImport(from, targetPath, specifier) {
  if (from.folder !== "core" && !specifier.endsWith(".ts"))
    return `write the import with its real extension: "${specifier}" has no .ts.`;
  const target = placeOf(targetPath);
  if (from.folder === "src") return refuseSourceImport(from, target, targetPath);
  const isAllowedInCore =
    target.folder === "core" || (target.room === "layout" && targetPath !== computedLayout);
  if (from.folder === "core" && !isAllowedInCore) {
    return `core/ may import core/ and src/layout only, and not ${computedLayout}.`;
  }
  return undefined;
}

function refusePackageImport(from, specifier, dependencies) {
  if (specifier.startsWith("node:")) {
    if (from.isErrors) return "src/errors.ts imports nothing: every room stands on it.";
    return from.folder === "core" || from.room === "layout"
      ? "core/ and src/layout are compiled by AssemblyScript, which has no Node."
      : undefined;
  }
  if (from.folder === "core") return "core/ may import core/ and src/layout only.";
  if (from.folder !== "src") return undefined;
  if (from.room !== "cli") {
    return `only src/cli may import packages ("${specifier}"); Node's own modules are written node:NAME.`;
  }
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  return dependencies.includes(name) ? undefined : `"${name}" is not in the dependencies of package.json.`;
}

function checkImports(path, text, dependencies) {
  const from = placeOf(path);
  const violations = [];
  for (const { specifier, line } of findImports(text)) {
    // AssemblyScript imports with and without the extension; in `export … from` only without.
    const file = from.folder === "core" && !specifier.endsWith(".ts") ? `${specifier}.ts` : specifier;
    const targetPath = relativePath("/", resolve("/", dirname(path), file));
    const problem = specifier.startsWith(".")
      ? refuseRelativeImport(from, targetPath, specifier)
      : refusePackageImport(from, specifier, dependencies);
    if (problem !== undefined) violations.push({ path, line, problem });
  }
  return violations;
}

function checkPlace(path) {
  const { folder, room } = placeOf(path);
  if (folder !== "src" || room === undefined || rooms.includes(room)) return [];
  return [{ path, line: 1, problem: `src/${room} is no room of the house; rooms: ${rooms.join(", ")}.` }];
}

function findLines(path, text, pattern, problem) {
  return [...text.matchAll(pattern)].map((match) => ({ path, line: lineAt(text, match.index), problem }));
}

function checkExports(path, text) {
  const isEntry = /^src\/(?:[^/]+\/)?index\.ts$/.test(path);
  return [
    ...findLines(
      path,
      text,
      /^export default\b|^export\s*\{[^}]*\bas default\b/gm,
      "no default exports: export the name itself.",
    ),
    ...(isEntry
      ? findLines(
          path,
          text,
          /^export\s*(?:type\s*)?\*/gm,
          "list the public names one by one instead of export *.",
        )
      : []),
  ];
}

const constantPattern = /^export const [A-Z][A-Z0-9_]* = [A-Z0-9_xa-f\s+*/%()<>|&~^-]+$/;
const layoutImportPattern = /^(?:import|export) \{[^}]*\} from "[^"]+"$/;

/** Computed from the other layout files, in TypeScript; core/ never reads it. */
const computedLayout = "src/layout/stamp.ts";

/** Layout files are read by two compilers, so they hold integer constants and nothing else. */
function checkLayout(path, text) {
  if (!path.startsWith("src/layout/") || path === computedLayout) return [];
  const blank = (comment) => comment.replace(/[^\n]/g, " ");
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, blank);
  const violations = [];
  for (const match of code.matchAll(/[^;]+/g)) {
    const statement = match[0].trim();
    if (statement === "" || constantPattern.test(statement) || layoutImportPattern.test(statement)) continue;
    const line = lineAt(code, match.index + match[0].indexOf(statement));
    violations.push({
      path,
      line,
      problem: "a layout file holds only `export const NAME = integer expression;` for both compilers.",
    });
  }
  return violations;
}

function checkLength(path, text) {
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  if (lines <= maxLines) return [];
  return [
    { path, line: maxLines + 1, problem: `${lines} lines; at most ${maxLines}: give each concept its file.` },
  ];
}

function readDependencies(root) {
  const path = join(root, "package.json");
  return existsSync(path) ? Object.keys(JSON.parse(readFileSync(path, "utf8")).dependencies ?? {}) : [];
}

/** All violations in the tree at `root`: `{ path, line, problem }` each, the path relative to the root. */
export function findViolations(root) {
  const dependencies = readDependencies(root);
  const violations = [];
  const folders = [...new Set([...importingFolders, ...measuredFolders])];
  for (const file of folders.flatMap((folder) => listFiles(join(root, folder)))) {
    const path = relativePath(root, file);
    const isMeasured = measuredFolders.some((folder) => path.startsWith(`${folder}/`));
    const isCode = path.endsWith(".ts");
    if (!isCode && !isMeasured) continue;
    const text = readFileSync(file, "utf8");
    if (isMeasured) violations.push(...checkLength(path, text));
    if (!isCode) continue;
    violations.push(...checkPlace(path), ...checkImports(path, text, dependencies));
    violations.push(...checkExports(path, text), ...checkLayout(path, text));
  }
  return violations;
}

if (isMain(import.meta.url)) {
  const violations = findViolations(projectRoot);
  for (const { path, line, problem } of violations) process.stdout.write(`${path}:${line}: ${problem}\n`);
  if (violations.length > 0) process.exitCode = 1;
}
