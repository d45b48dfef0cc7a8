/**
 * The operations of the core, each with a heap in which it takes one particular path.
 *
 * Shared by the crash test (the operation's participant dies before each of its accesses) and the preemption test
 * (another participant gets a turn there).
 */

import { blocks } from "./core-scenarios-blocks.ts";
import { owned } from "./core-scenarios-owned.ts";
import { rest } from "./core-scenarios-rest.ts";
import type { Scenario } from "./core-scenario.ts";

export { batches } from "./core-scenarios-blocks.ts";

export const scenarios: readonly Scenario[] = [...blocks, ...owned, ...rest];
