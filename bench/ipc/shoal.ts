/**
 * Shoal's own contenders and soloists, by the row that they feed; the interface stands in contender.ts. The rows of what
 * is not here have no value, and their peers are measured all the same.
 */

import type { Contender, Soloist } from "./contender.ts";

/** The rows "ipc.rtt.spin.ns" to "ipc.copy.1048576.gbps", without their units and large sizes. */
export type ShoalRow = "rtt.spin" | "rtt.block" | "rtt.await" | "ring" | "queue" | "loan" | "copy";

/** "sync.mutex.ns", "sync.mutex.await.ns" and, at rest, "ipc.idle1000.cpu.percent". */
export type ShoalSoloRow = "mutex" | "mutex.await" | "idle1000";

export const shoalContenders: Partial<Record<ShoalRow, Contender>> = {};

export const shoalSoloists: Partial<Record<ShoalSoloRow, Soloist>> = {};
