/** What became of a fill: whose bytes are whose, which were left by the dead, which are lost. See fill-area.ts. */
import type { Region } from "../region/index.ts";
import {
  CLASHES,
  controlWords,
  fillOffset,
  finishedCell,
  INTENT,
  LETTERS,
  lineOf,
  TAKING,
} from "./fill-area.ts";

/** Counts of bytes. */
export interface Verdict {
  /** Of each letter in the segment. */
  readonly letters: Readonly<Record<string, number>>;
  /** Bytes that nobody can answer for: must be 0. */
  readonly lostBytes: number;
  /** Indexes whose byte was not zero when it was taken: must be 0. */
  readonly clashes: number;
  /** Bytes that a killed participant had taken and not yet written; written for it. */
  readonly finishedForDead: number;
}

interface Dead {
  readonly letter: number;
  readonly intent: number;
}

/** Participants that never said that they had finished. */
function findDead(region: Region, words: Int32Array, participantCount: number): Dead[] {
  const numbers = Array.from({ length: participantCount }, (_, number) => number);
  return numbers
    .filter((number) => finishedCell(region, number)[0] === 0)
    .map((number) => ({ letter: LETTERS.charCodeAt(number), intent: words[lineOf(number) + INTENT]! }));
}

function findZeros(bytes: Uint8Array): number[] {
  const found: number[] = [];
  for (let index = bytes.indexOf(0); index >= 0; index = bytes.indexOf(0, index + 1)) found.push(index);
  return found;
}

/** Writes for each of the dead the one byte it may have taken and not written. Returns how many there were. */
function finishForDead(bytes: Uint8Array, dead: readonly Dead[]): number {
  let count = 0;
  const write = (index: number, letter: number): void => {
    bytes[index] = letter;
    count++;
  };
  for (const { intent, letter } of dead) {
    if (intent !== TAKING && intent < bytes.length && bytes[intent] === 0) write(intent, letter);
  }
  // These had not yet noted their index: any one that is left may be theirs.
  const unsure = dead.filter(({ intent }) => intent === TAKING);
  for (const index of findZeros(bytes).slice(0, unsure.length)) write(index, unsure.pop()!.letter);
  return count;
}

function countLetters(bytes: Uint8Array, participantCount: number): Record<string, number> {
  const counts = Array.from({ length: 256 }, () => 0);
  for (let index = 0; index < bytes.length; index++) counts[bytes[index]!]!++;
  const letters = Array.from(LETTERS.slice(0, participantCount));
  return Object.fromEntries(letters.map((letter) => [letter, counts[letter.charCodeAt(0)]!]));
}

/** Judges a fill whose participants have all gone, and completes it for the dead. */
export function judge(
  region: Region,
  participantCount: number,
  sizeBytes: number,
): Verdict & { readonly finishedAt: number } {
  const words = controlWords(region, participantCount);
  const offset = fillOffset(participantCount);
  const reachable = Math.max(0, Math.min(sizeBytes, region.sizeBytes - offset));
  const bytes = region.bytes(offset, reachable);
  const finishedForDead = finishForDead(bytes, findDead(region, words, participantCount));
  const letters = countLetters(bytes, participantCount);
  const total = Object.values(letters).reduce((sum, count) => sum + count, 0);
  let clashes = 0;
  let finishedAt = 0;
  for (let number = 0; number < participantCount; number++) {
    clashes += words[lineOf(number) + CLASHES]!;
    finishedAt = Math.max(finishedAt, finishedCell(region, number)[0]!);
  }
  return { letters, lostBytes: sizeBytes - total, clashes, finishedForDead, finishedAt };
}
