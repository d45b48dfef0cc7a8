/** Every contender and soloist by the name under which the processes that measure are told of it. */

import type { Contender, Soloist } from "./contender.ts";
import { ipcPeers } from "./peers/index.ts";
import { shoalContenders, shoalSoloists } from "./shoal.ts";
import type { ShoalRow, ShoalSoloRow } from "./shoal.ts";

/** Does nothing at all: what a Node process takes that rests. */
export const plainNode = "plain Node";

const plain: Soloist = { start: () => ({ close: () => undefined }) };

export function nameOfShoal(row: ShoalRow | ShoalSoloRow): string {
  return `shoal ${row}`;
}

function find<Value>(kind: string, entries: readonly (readonly [string, Value])[], wanted: string): Value {
  const found = entries.find(([name]) => name === wanted);
  if (found === undefined) throw new Error(`there is no ${kind} "${wanted}".`);
  return found[1];
}

export function findContender(name: string): Contender {
  const own = Object.entries(shoalContenders).map(
    ([row, contender]) => [nameOfShoal(row as ShoalRow), contender] as const,
  );
  return find("contender", [...own, ...ipcPeers.map((peer) => [peer.name, peer.contender] as const)], name);
}

export function findSoloist(name: string): Soloist {
  const own = Object.entries(shoalSoloists).map(
    ([row, soloist]) => [nameOfShoal(row as ShoalSoloRow), soloist] as const,
  );
  return find("soloist", [...own, [plainNode, plain] as const], name);
}
