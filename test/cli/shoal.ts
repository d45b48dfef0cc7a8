/** Runs the `shoal` command as a person would: as a process, with its input, output and exit code. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const program = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Outcome {
  /** null: ended by `signal`. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly outcome: Promise<Outcome>;
  /** Resolves when standard output has held `text`. */
  readonly shows: (text: string) => Promise<void>;
}

/** Starts the command; its input stays open until the caller ends it. */
export function startShoal(...args: readonly string[]): Running {
  const child = spawn(process.execPath, [program, ...args]);
  const chunks: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined); // it may end before it has read all that we write
  const outcome = once(child, "close").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout: Buffer.concat(chunks),
    stderr,
  }));
  const shows = async (text: string): Promise<void> => {
    while (!Buffer.concat(chunks).includes(text)) {
      const isOver = await Promise.race([
        once(child.stdout, "data").then(() => false),
        outcome.then(() => true),
      ]);
      if (isOver)
        assert.ok(Buffer.concat(chunks).includes(text), `it ended without showing ${text}: ${stderr}`);
    }
  };
  return { child, outcome, shows };
}

/** Runs the command to its end with no input. */
export async function runShoal(...args: readonly string[]): Promise<Outcome> {
  const running = startShoal(...args);
  running.child.stdin.end();
  return running.outcome;
}

/** Runs it with --json and returns what it printed, which is one JSON value and nothing else. */
export async function runJson(code: number, ...args: readonly string[]): Promise<unknown> {
  const outcome = await runShoal(...args, "--json");
  assert.equal(outcome.code, code, outcome.stderr);
  const text = outcome.stdout.toString();
  assert.equal(text.trim().split("\n").length, 1, text);
  return JSON.parse(text);
}

/** The shared memory objects whose names contain `part`, which may be a segment's name. */
export function sharedNames(part: string): string[] {
  return readdirSync("/dev/shm").filter((name) => name.includes(part.replace(/^\//, "")));
}
