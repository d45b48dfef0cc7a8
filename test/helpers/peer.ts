/**
 * Other participants for tests: unrelated processes and worker threads that run functions of the test's.
 *
 *     const peer = startProcess(t);
 *     const uuid = await peer.run(({ Region }, name) => Region.open(name).uuid, name);
 *
 * The function is sent as text, so it may use its parameters and nothing else of the file that it stands in; nor `using`,
 * which the compiler rewrites to helpers of the file. Every peer is ended after its test.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { PeerAnswer, PeerCall } from "./peer-main.ts";
import type { PeerTools } from "./peer-tools.ts";

export type { PeerTools } from "./peer-tools.ts";

const mainUrl = new URL("peer-main.js", import.meta.url);

/** What a peer's function threw. `code` is the ShoalError's. */
export class PeerError extends Error {
  readonly code: string;
  readonly details: Readonly<Record<string, number | string>>;

  constructor({ code, message, details }: NonNullable<PeerAnswer["failure"]>) {
    super(message);
    this.code = code;
    this.details = details as Readonly<Record<string, number | string>>;
  }
}

/** Another participant. */
export interface Peer {
  /** Its process. For a worker the test's own. */
  readonly pid: number;
  /** Runs `work` there. Rejects with a PeerError when it throws, with another error when the peer ends first. */
  run<Args extends unknown[], Result>(
    work: (tools: PeerTools, ...args: Args) => Result | Promise<Result>,
    ...args: Args
  ): Promise<Result>;
  /** SIGKILL, or `terminate()` for a worker; resolves when it is gone. */
  kill(): Promise<void>;
  /** How it ended: a signal's name or an exit code. */
  readonly ended: Promise<string>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The calls that a peer has not answered yet. */
function makeCalls(send: (call: PeerCall) => void) {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let endedBy: string | undefined;
  return {
    take({ id, result, failure }: PeerAnswer): void {
      const call = waiting.get(id);
      waiting.delete(id);
      if (failure === undefined) call?.resolve(result);
      else call?.reject(new PeerError(failure));
    },
    end(reason: string): void {
      endedBy = reason;
      for (const { reject } of waiting.values()) reject(new Error(`the peer ended (${reason})`));
      waiting.clear();
    },
    run: ((work: (...all: never[]) => unknown, ...args: unknown[]) =>
      new Promise((resolve, reject) => {
        if (endedBy !== undefined) return reject(new Error(`the peer ended before (${endedBy})`));
        waiting.set(++lastId, { resolve, reject });
        send({ id: lastId, source: work.toString(), args });
      })) as Peer["run"],
  };
}

/** How a process is started. */
export interface ProcessOptions {
  /** Runs it as this user (needs root). */
  readonly uid?: number;
  /** Put before Node's own command line: a shell or a launcher that ends in running "$@". */
  readonly launcher?: readonly string[];
  /** Arguments of Node's. */
  readonly execArgv?: readonly string[];
}

/** Starts an unrelated process. */
export function startProcess(t: TestContext, options: ProcessOptions = {}): Peer {
  const { uid, launcher = [], execArgv = [] } = options;
  const line = [...launcher, process.execPath, ...execArgv, fileURLToPath(mainUrl)];
  const child: ChildProcess = spawn(line[0]!, line.slice(1), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
    cwd: "/",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const calls = makeCalls((call) => void child.send(call));
  child.on("message", (done: PeerAnswer) => calls.take(done));
  child.on("error", (error) => calls.end(error.message));
  const ended = new Promise<string>((resolve) => {
    child.on("exit", (code, signal) => {
      const reason = signal ?? `exit code ${code}`;
      calls.end(reason);
      resolve(reason);
    });
  });
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  t.after(kill);
  return { pid: child.pid ?? 0, run: calls.run, kill, ended };
}

/** Starts a worker thread of this process. */
export function startWorker(t: TestContext): Peer {
  const worker = new Worker(mainUrl);
  const calls = makeCalls((call) => worker.postMessage(call, []));
  worker.on("message", (done: PeerAnswer) => calls.take(done));
  worker.on("error", (error) => calls.end(error.message));
  const ended = new Promise<string>((resolve) => {
    worker.on("exit", (code) => {
      calls.end(`exit code ${code}`);
      resolve(`exit code ${code}`);
    });
  });
  const kill = async (): Promise<void> => {
    await worker.terminate();
  };
  t.after(kill);
  return { pid: process.pid, run: calls.run, kill, ended };
}

/** Processes one after another, for tests that use up many: the next one starts while the last one is at work. */
export function makeQueue(t: TestContext): () => Peer {
  const waiting = [startProcess(t), startProcess(t)];
  return () => {
    waiting.push(startProcess(t));
    return waiting.shift()!;
  };
}

/** Starts `count` processes at once. */
export function startProcesses(t: TestContext, count: number): Peer[] {
  return Array.from({ length: count }, () => startProcess(t));
}
