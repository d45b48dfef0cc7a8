/**
 * `fill`: the cooperative fill, run as anybody would run it (`shoal demo --json`): 8 processes write every byte of a
 * heap that they grow together to 4 MiB. The time is from the moment when all have attached to the last byte; the count
 * is of bytes that did not stay written, over all runs.
 */

import { join } from "node:path";
import { runCommand } from "../harness/command.ts";
import type { Probe, Topic, TopicOptions, TopicPlan } from "../harness/plan.ts";
import { medianRow } from "../harness/plan.ts";
import { projectRoot } from "../harness/runtimes.ts";

const defaultRepeatCount = 9;

async function runDemo(): Promise<Record<string, unknown>> {
  const program = join(projectRoot, "dist", "src", "cli", "main.js");
  const { code, stdout, stderr } = await runCommand(process.execPath, [program, "demo", "--json"]);
  // Lost bytes also end the demo with a code of its own, and they are to be counted, not thrown.
  if (stdout.trim() === "") throw new Error(`shoal demo ended with code ${String(code)}: ${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

function readNumber(facts: Record<string, unknown>, key: string): number {
  const value = facts[key];
  if (typeof value !== "number") throw new Error(`shoal demo --json has no number "${key}".`);
  return value;
}

const probeFill: Probe = async () => {
  const facts = await runDemo();
  return {
    "fill.8.seconds": readNumber(facts, "fillSeconds"),
    "fill.8.lost": readNumber(facts, "lostBytes"),
  };
};

function planFill({ isQuick, repeatCount }: TopicOptions): TopicPlan {
  return {
    rounds: repeatCount ?? (isQuick ? 1 : defaultRepeatCount),
    probes: [probeFill],
    rows: [
      medianRow("fill.8.seconds", "s", 0.2),
      { name: "fill.8.lost", unit: "bytes", target: 0, valueOf: (series) => series.sum("fill.8.lost") },
    ],
    dispose: () => undefined,
  };
}

export const fillTopic: Topic = { name: "fill", plan: planFill };
