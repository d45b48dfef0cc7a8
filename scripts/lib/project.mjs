// Where the project lies, what it consists of, and how its scripts run commands. Node's builtins only: these
// scripts run before anything is installed.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The folders that the one TypeScript compile covers. */
export const compiledFolders = ["src", "test", "bench", "proof", "storm", "flips", "examples"];

/**
 * All files under `folder` whose path `accept` agrees to, sorted, with `/` between their parts. A folder that
 * does not exist has no files. Folders named node_modules and names starting with a dot are passed over.
 */
export function listFiles(folder, accept = () => true) {
  if (!existsSync(folder)) return [];
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...listFiles(path, accept));
    else if (accept(path)) found.push(path);
  }
  return found.sort();
}

/** `path` relative to `base`, with `/` between its parts on every system. */
export function relativePath(base, path) {
  return relative(base, path).split(sep).join("/");
}

/**
 * Runs a command and collects what it prints. Never rejects for a failing command: `code` is its exit code,
 * or null when it could not start or a signal ended it, and then `output` says so.
 */
export function runCommand(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => resolve({ code: null, output: `${command}: ${error.message}\n`, error }));
    child.on("close", (code, signal) => {
      if (signal !== null) output += `${command}: ended by ${signal}\n`;
      resolve({ code, output, error: undefined });
    });
  });
}

/** Runs one of Node's own programs: a script of ours or of a package. */
export function runNode(args, options = {}) {
  return runCommand(process.execPath, args, options);
}

/**
 * Runs a compiled program in our place: our terminal, our signals, and in the end our exit code. A terminal's
 * Ctrl-C reaches the whole process group, so it is passed on only when there is no terminal; twice would look
 * like an impatient user.
 */
export function becomeProgram(path, args) {
  const child = spawn(process.execPath, [path, ...args], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) {
    process.on(signal, () => {
      const fromTerminal = process.stdin.isTTY && (signal === "SIGINT" || signal === "SIGQUIT");
      if (!fromTerminal) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    process.stderr.write(`cannot run ${path}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("close", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Whether this module is the program that was started, not one that is imported. */
export function isMain(metaUrl) {
  const started = process.argv[1];
  // A module's URL has no symbolic links; the path on the command line may.
  return started !== undefined && existsSync(started) && fileURLToPath(metaUrl) === realpathSync(started);
}
