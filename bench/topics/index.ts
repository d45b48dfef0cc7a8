/** Every topic, in the order in which `all` runs them. */

import type { Topic } from "../harness/plan.ts";
import { allocTopic } from "./alloc.ts";
import { fillTopic } from "./fill.ts";
import { ipcTopic } from "./ipc.ts";
import { regionTopic } from "./region.ts";

export const topics: readonly Topic[] = [regionTopic, fillTopic, allocTopic, ipcTopic];
