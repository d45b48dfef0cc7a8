/**
 * `shoal/auto`: the heap that the environment names, opened or created when the program is loaded.
 *
 *     SHOAL_HEAP=orders node --import shoal/auto program.mjs
 *
 * Of all the processes and worker threads that load it at once exactly one creates the heap. Each is a participant of its
 * own; the program gets its heap with `import { heap } from "shoal/auto"`. Variables: environmentOptions (heap/
 * environment.ts), and SHOAL_DEBUG_FILE, a file for what the heap looks like when this process ends.
 */
import { isMainThread, threadId } from "node:worker_threads";
import { Heap } from "./data/index.ts";
import { environmentOptions } from "./heap/index.ts";
import { writeDebugFile } from "./inspect/index.ts";

const { name, options } = environmentOptions();

/** The heap that SHOAL_HEAP names. */
export const heap: Heap = Heap.openOrCreate(name, options);

const debugPath = process.env["SHOAL_DEBUG_FILE"];

/** Worker threads write only to files of their own. */
if (debugPath && (isMainThread || debugPath.includes("%t"))) {
  const path = debugPath.replaceAll("%p", String(process.pid)).replaceAll("%t", String(threadId));
  process.once("exit", () => {
    try {
      writeDebugFile(heap, path);
    } catch (error) {
      // A look at the heap must not change how the program ends.
      process.stderr.write(
        `shoal: no debug file ${path}: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    }
  });
}
