/** `shoal locks`: the named objects of a heap, who holds them, and who waits. */
import { CommanderError } from "commander";
import { inspectObjects } from "../inspect/index.ts";
import type { ObjectsReport, Party, Waiter } from "../inspect/index.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { colours, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, formatTable, print, printJson } from "./output.ts";
import type { SegmentOptions } from "./segment-options.ts";

export interface LocksOptions extends SegmentOptions {
  readonly watch?: boolean;
}

const WATCH_MS = 500;

function describeParty(party: Party): string {
  const thread = party.threadId === 0 ? "" : `/${party.threadId}`;
  const what = party.what === undefined ? "" : ` ${party.what}`;
  const since = party.since === undefined ? "" : ` since ${party.since.toISOString()}`;
  return `${party.pid}${thread}${party.alive ? "" : " (dead)"}${what}${since}`;
}

function describeWaiter(waiter: Waiter): string {
  return `${describeParty(waiter)} ${waiter.asleep ? "asleep" : "awaiting"}`;
}

function describe({ objects, cycles, name }: ObjectsReport): string {
  if (objects.length === 0) return `${name} has no named objects`;
  const rows = objects.map((one) => [
    one.name,
    one.kind,
    one.state,
    one.holders.map(describeParty).join(", "),
    one.waiters.map(describeWaiter).join(", "),
    String(one.waits),
    String(one.abandoned),
  ]);
  const headings = ["NAME", "KIND", "STATE", "HELD BY", "WAITED FOR BY", ">WAITS", ">ABANDONED"];
  const stacks = objects.flatMap((one) =>
    one.holders.flatMap(({ pid, stack }) =>
      stack === undefined
        ? []
        : [
            `${colours.dim(`${one.kind} "${one.name}" was taken by ${pid}`)}\n  ${stack.replaceAll("\n", "\n  ")}`,
          ],
    ),
  );
  const circles = cycles.map(({ links }) => {
    const steps = links.map(({ pid, object }) => `${pid} waits for ${object}`).join(", ");
    return colours.red(`a deadlock, it seems: ${steps}, which the first of them holds`);
  });
  return [formatTable(headings, rows), ...stacks, ...circles].join("\n\n");
}

async function watch(name: string, options: LocksOptions): Promise<number> {
  using interrupt = listenForInterrupt();
  const { signal } = interrupt;
  let shown = "";
  while (!signal.aborted) {
    const text = describe(inspectObjects(name, { backend: options.backend }));
    if (process.stdout.isTTY === true) process.stdout.write(`\u001b[H\u001b[2J${text}\n`);
    else if (text !== shown) print(`${shown === "" ? "" : "\n"}${text}`);
    shown = text;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, WATCH_MS);
      signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
    // Nobody reads it any more.
    if (process.stdout.destroyed) return EXIT_OK;
  }
  return EXIT_INTERRUPTED;
}

export async function run(name: string, options: LocksOptions): Promise<number> {
  if (options.watch === true && options.json === true)
    throw new CommanderError(EXIT_USAGE, "shoal.usage", "--json prints one value; --watch goes on");
  if (options.watch === true) return watch(name, options);
  const report = inspectObjects(name, { backend: options.backend });
  if (options.json) printJson(report);
  else print(describe(report));
  return EXIT_OK;
}
