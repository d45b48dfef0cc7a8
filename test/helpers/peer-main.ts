/**
 * The other side of helpers/peer.ts: a process, or a worker thread, that runs the functions it is sent.
 *
 * A function arrives as its source and is called with `tools` and its arguments; what it returns or throws goes back.
 * It stands alone: it sees nothing of the module that it was written in.
 */
import { parentPort } from "node:worker_threads";
import { makeTools } from "./peer-tools.ts";

/** A call on its way here. */
export interface PeerCall {
  readonly id: number;
  readonly source: string;
  readonly args: readonly unknown[];
}

/** What came of a call. */
export interface PeerAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: { readonly code: string; readonly message: string; readonly details: unknown };
}

const tools = makeTools();

function describeFailure(error: unknown): NonNullable<PeerAnswer["failure"]> {
  const { code, message, details } = error as { code?: unknown; message?: unknown; details?: unknown };
  return { code: String(code ?? "no code"), message: String(message ?? error), details: details ?? {} };
}

async function answer({ id, source, args }: PeerCall): Promise<PeerAnswer> {
  try {
    const work = new Function(`return (${source})`)() as (...all: unknown[]) => unknown;
    return { id, result: await work(tools, ...args) };
  } catch (error) {
    return { id, failure: describeFailure(error) };
  }
}

if (parentPort === null) {
  const reply = async (call: PeerCall): Promise<void> => void process.send?.(await answer(call));
  process.on("message", (call: PeerCall) => void reply(call));
  process.on("disconnect", () => process.exit(0));
} else {
  const port = parentPort;
  const reply = async (call: PeerCall): Promise<void> => port.postMessage(await answer(call), []);
  port.on("message", (call: PeerCall) => void reply(call));
}
