/** The program's part of helper.ts: answers its parent's questions, and leaves when the parent lets go of it or dies. */

import type { Reply } from "./helper.ts";

type MaybePromise<Value> = Value | Promise<Value>;

export interface Answerer<Request, Value> {
  readonly answer: (request: Request) => MaybePromise<Value>;
  /** Removes what the process has made; it ends thereafter. */
  readonly leave: () => MaybePromise<void>;
}

function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** `start` is not called if the parent has died meanwhile. */
export function answerParent<Request, Value>(start: () => Answerer<Request, Value>): void {
  // Ctrl-C is the parent's to hear; it ends this process.
  for (const name of ["SIGINT", "SIGHUP"] as const) process.on(name, () => undefined);
  // The parent may have died while this module was loaded; after this it is heard of.
  if (process.connected !== true) return;
  const { answer, leave } = start();
  const end = async (): Promise<void> => {
    try {
      await leave();
    } finally {
      process.exit(0);
    }
  };
  process.on("disconnect", end);
  const reply = (message: Reply<Value>): void => {
    // A parent that was killed meanwhile cannot be answered.
    process.send?.(message, (error: Error | null) => {
      if (error !== null) void end();
    });
  };
  process.on("message", async (request: Request) => {
    try {
      reply({ value: await answer(request) });
    } catch (error) {
      reply({ error: describeError(error) });
    }
  });
}
