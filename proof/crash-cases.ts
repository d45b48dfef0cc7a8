/** Every operation that is put through crash exhaustion. */

import { buddyCases } from "./crash-buddy.ts";
import { channelCases } from "./crash-channel.ts";
import { eventCases } from "./crash-events.ts";
import { fitCases } from "./crash-fit.ts";
import { lockCases } from "./crash-locks.ts";
import { portCases } from "./crash-port.ts";
import { repairCases } from "./crash-repair.ts";
import { segmentCases } from "./crash-segment.ts";
import { slabCases } from "./crash-slab.ts";
import { topicCases } from "./crash-topic.ts";
import type { CrashScene } from "./crash.ts";

export interface CrashCase {
  readonly name: string;
  prepare(): CrashScene;
}

export const crashCases = (isDeep = false): readonly CrashCase[] => [
  ...segmentCases,
  ...slabCases,
  ...buddyCases,
  ...fitCases,
  ...channelCases,
  ...topicCases,
  ...portCases(isDeep),
  ...lockCases,
  ...eventCases,
  ...repairCases(isDeep),
];
