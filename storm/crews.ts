/** Processes with workers, on call: such a one takes a while to start, and the storm goes on without it meanwhile. */

import { startHelper } from "./helper.ts";
import type { Helper } from "./helper.ts";

export interface Crews {
  /** One that is ready and has no workers; undefined: not yet. */
  take(): Helper | undefined;
  /** One that has no workers any more. */
  giveBack(crew: Helper): void;
  /** Ends those that nobody has taken. */
  end(): Promise<void>;
}

export function makeCrews(ledgerName: string): Crews {
  let ready: Helper | undefined;
  let coming: Promise<void> | undefined;
  let failure: unknown;
  const start = async (): Promise<void> => {
    try {
      ready = await startHelper("crew.js", [], [ledgerName]);
    } catch (error) {
      failure = error;
    }
    coming = undefined;
  };
  return {
    take() {
      if (failure !== undefined) throw failure;
      const taken = ready;
      ready = undefined;
      if (taken === undefined) coming ??= start();
      return taken;
    },
    giveBack(crew) {
      if (ready === undefined && coming === undefined) ready = crew;
      else void crew.kill();
    },
    async end() {
      await coming;
      await ready?.kill();
    },
  };
}
