/**
 * Runs other programs without blocking, so that an interrupt is heard meanwhile, and ends them with the run. Each leads a
 * process group of its own: what it has started itself (a compiler's stages, say) ends with it.
 */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { cleanUpLater, isInterrupted } from "./cleanup.ts";

export interface Outcome {
  /** 0 to 255; undefined if the program could not be started or was killed. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** What it wrote to standard error; the reason if it could not be started. */
  readonly stderr: string;
}

export interface CommandOptions {
  /** Given to the program on standard input. */
  readonly input?: string;
  /** "inherit": standard error goes where ours does. Default "pipe". */
  readonly stderr?: "pipe" | "inherit";
  readonly cwd?: string;
  /** An interrupted run leaves the program to finish what it is at. Default false. */
  readonly isLeftToFinish?: boolean;
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGTERM");
  } catch {
    child.kill("SIGTERM"); // a runtime that makes no groups
  }
}

async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const [stdout, stderr, [code]] = await Promise.all([
    child.stdout === null ? "" : text(child.stdout),
    child.stderr === null ? "" : text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code: code ?? undefined, stdout, stderr };
}

function start(program: string, args: readonly string[], { cwd, stderr = "pipe" }: CommandOptions) {
  return spawn(program, [...args], {
    detached: true,
    stdio: ["pipe", "pipe", stderr],
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/** Never rejects: what went wrong is in the outcome. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Outcome> {
  let child: ChildProcess | undefined;
  let outcome: Promise<Outcome> | undefined;
  const stop = cleanUpLater(async () => {
    if (child === undefined || options.isLeftToFinish === true) return;
    killGroup(child);
    await outcome;
  });
  try {
    child = start(program, args, options);
    // A program that ends without having read its input is no failure of ours.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
    outcome = outcomeOf(child);
    return await outcome;
  } catch (error) {
    return { code: undefined, stdout: "", stderr: error instanceof Error ? error.message : String(error) };
  } finally {
    child = undefined; // its number may belong to somebody else by now
    await stop();
    // What an interrupted program came to tells nothing; the run ends as soon as everything is cleaned up.
    if (isInterrupted()) await new Promise(() => undefined);
  }
}

/** The first line of what a program complained about that says something, for a message of one line. */
export function reasonOf({ code, stderr }: Outcome): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const line = lines.find((one) => /error|E:/i.test(one)) ?? lines.find((one) => one !== "");
  return line ?? (code === undefined ? "it was killed" : `it ended with code ${code}`);
}
