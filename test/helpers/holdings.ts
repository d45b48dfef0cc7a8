/**
 * What this process holds of the system's, for tests that nothing leaks: descriptors, and mappings of segments.
 *
 * A closed region's address range stays with the engine until its memory is collected, as private zero pages; that is no
 * mapping of a segment and is not counted.
 */
import { readdirSync, readFileSync } from "node:fs";

const ofSegment = /^\S+ \S{3}s|shoal|memfd:|SYSV/;

/** The lines of this process's memory map that contain `part`. */
export function mapsWith(part: string): string[] {
  return readFileSync("/proc/self/maps", "latin1")
    .split("\n")
    .filter((line) => line.includes(part));
}

/** How many descriptors and how many mappings of segments this process has. */
export function holdings(): { descriptors: number; mappings: number } {
  const lines = readFileSync("/proc/self/maps", "latin1").split("\n");
  // Node's own addon and the like are files of this project's name, but they are code: not counted.
  const mappings = lines.filter((line) => ofSegment.test(line) && !line.includes(".node")).length;
  // Less the one that reading the directory takes, which is always there.
  return { descriptors: readdirSync("/proc/self/fd").length - 1, mappings };
}
