/** Where a long run is, for a person who waits: one line on standard error that is written over, in a terminal only. */

import { cleanUpLater } from "./cleanup.ts";

export interface Progress {
  readonly show: (text: string) => void;
  /** Takes the line away again. */
  readonly clear: () => void;
}

const eraseLine = "\r\u001b[K";

/** The stream is standard error but for tests. */
export function makeProgress(
  stream: { readonly isTTY?: boolean; write(text: string): unknown } = process.stderr,
): Progress {
  if (stream.isTTY !== true) return { show: () => undefined, clear: () => undefined };
  let clear = (): void => undefined;
  return {
    show(text) {
      clear();
      stream.write(text);
      clear = cleanUpLater(() => void stream.write(eraseLine));
    },
    clear: () => clear(),
  };
}
