/**
 * A stage for races on a channel: each participant is a coroutine of the channels' core, all orders of their accesses are gone
 * through, and at states on the way one of them dies. What is to be judged in the end is the caller's to say.
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
import { explore, makeTouches } from "./explore.ts";
import { makeJournal } from "./journal.ts";

/** Who recovers and judges. */
export const JUDGE = 5;

export interface RaceCounts {
  states: number;
  schedules: number;
  deaths: number;
}

export interface StageOptions {
  readonly mostStates: number;
  /** At one state in so many everybody dies in turn. */
  readonly deathStride: number;
}

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
 * Goes through all orders of the programs' accesses; the participants are in slots 0, 1, … A program makes calls of the core and
 * nothing else. `judge` is told where each participant is, at its end or dead; it may destroy the memory. Throws what is wrong.
 */
export function exploreChannel(
  world: World,
  programs: readonly ((core: ChannelCore) => void)[],
  judge: (positions: readonly Position[]) => void,
  { mostStates, deathStride }: StageOptions,
): RaceCounts {
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
  participants.forEach((participant, index) =>
    participant.begin((core) => {
      programs[index]!(core as unknown as ChannelCore);
      return 1;
    }),
  );

  const buffer = new Uint8Array(world.memory.buffer);
  const spare = new Uint8Array(buffer.length);
  const aside = (action: () => void): void => {
    spare.set(buffer);
    try {
      action();
    } finally {
      buffer.set(spare);
    }
  };
  const counts: RaceCounts = { states: 0, schedules: 0, deaths: 0 };

  const die = (positions: readonly Position[], index: number, isRecoveredFirst: boolean): void => {
    const mark = journal.mark();
    aside(() => {
      if (isRecoveredFirst) recoverAll(world, [index]);
      participants.forEach((one, other) => {
        if (other !== index && !positions[other]!.isDone) one.finish();
      });
      const ends = participants.map((one, other) => (other === index ? positions[index]! : one.position()));
      judge(ends);
    });
    journal.undoTo(mark);
    participants.forEach((one, other) => one.restore(positions[other]!));
  };

  const explored = explore(
    {
      journal,
      participants,
      isOver: (states) => states > mostStates,
      onEnd: ({ positions, path }) => {
        try {
          aside(() => judge(positions));
        } catch (error) {
          throw new Error(`after ${path.join("")}: ${(error as Error).message}`, { cause: error });
        }
      },
      onState({ positions, path }) {
        if (counts.states++ % deathStride !== 0) return;
        positions.forEach(({ isDone, accesses }, index) => {
          if (isDone || accesses < 2) return;
          for (const isRecoveredFirst of [false, true]) {
            counts.deaths++;
            try {
              die([...positions], index, isRecoveredFirst);
            } catch (error) {
              const how = isRecoveredFirst ? " and is recovered before the others go on" : "";
              throw new Error(`after ${path.join("")} ${index} dies${how}: ${(error as Error).message}`, {
                cause: error,
              });
            }
          }
        });
      },
    },
    makeTouches(world.memory),
  );
  counts.schedules = explored.schedules;
  return counts;
}
