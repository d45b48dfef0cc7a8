/**
 * A stage for races on a channel: each participant is a coroutine of the channels' core. What is to be judged in the end is the
 * caller's to say.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ChannelCore } from "../src/data/channel/core.ts";
import { OK } from "../src/layout/result.ts";
import { SLOT_SIZE_BYTES } from "../src/layout/slot.ts";
import { packageRoot } from "../src/os/native.ts";
import { enter } from "../test/helpers/core-world.ts";
import type { World } from "../test/helpers/core-world.ts";
import { AREA_BYTES, makeParticipant } from "./coroutine.ts";
import type { Participant, Position } from "./coroutine.ts";
import { makeJournal } from "./journal.ts";
import { makeAside } from "./stage.ts";
import type { Stage } from "./stage.ts";

/** Who recovers and judges. */
export const JUDGE = 5;

let module: WebAssembly.Module | undefined;

function coroutineModule(): WebAssembly.Module {
  const path = join(packageRoot, "dist", "core", "channel.coroutine.wasm");
  return (module ??= new WebAssembly.Module(readFileSync(path)));
}

/** The judge recovers these slots. */
export function recoverAll(world: World, slots: readonly number[]): void {
  const core = enter(world, JUDGE);
  for (const slot of slots) assert.equal(core.recoverSlot(slot, 1), OK);
}

/**
 * A race of these programs; the participants are in slots 0, 1, … A program makes calls of the core and nothing else. `judge` is
 * told where each participant is, at its end or dead; it may destroy the memory. It throws what is wrong.
 */
export function stageChannel(
  world: World,
  programs: readonly ((core: ChannelCore) => void)[],
  judge: (positions: readonly Position[]) => void,
): Stage {
  const journal = makeJournal(world.memory);
  const { slotsOffset, spanPages } = world.geometry;
  const participants = programs.map((_program, slot): Participant => {
    enter(world, slot);
    const areaOffset = spanPages * 65536 + slot * AREA_BYTES;
    const around = { memory: world.memory, journal, slotsOffset, slotSizeBytes: SLOT_SIZE_BYTES };
    const participant = makeParticipant(slot, { ...around, module: coroutineModule(), areaOffset });
    const core = participant.core as unknown as ChannelCore;
    participant.core.setMapped(world.geometry.sizePages);
    assert.equal(core.attach(), 0);
    core.join(slot);
    participant.keepGlobals();
    return participant;
  });
  return {
    world,
    journal,
    participants,
    aside: makeAside(world.memory),
    begin() {
      participants.forEach((participant, index) =>
        participant.begin((core) => {
          programs[index]!(core as unknown as ChannelCore);
          return 1;
        }),
      );
    },
    recoverDead: (died) => recoverAll(world, died),
    // What was sent and received in it is not in the memory alone.
    judge: (positions) => judge(positions),
  };
}
