/** Sizes as people write and read them: 64k, 4M, 1G, always of 1024. */
import { InvalidArgumentError } from "commander";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const sizePattern = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i;

/** Bytes. Throws commander's InvalidArgumentError, which is bad usage. */
export function parseSize(text: string): number {
  const match = sizePattern.exec(text.trim());
  if (match === null)
    throw new InvalidArgumentError("a size is a number of bytes, or one with k, M, G or T: 64k, 4M, 1G");
  const power = " kmgt".indexOf(match[2]!.toLowerCase() || " ");
  const sizeBytes = Number(match[1]) * 1024 ** power;
  if (Number.isSafeInteger(sizeBytes)) return sizeBytes;
  throw new InvalidArgumentError(`${text} is not a whole number of bytes`);
}

/** A whole number from `least` on, and at most `most`. */
export function parseCount(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
  };
}

/** Numbers from one to another, "3-7", or one alone. */
export function parseRange(text: string): { from: number; to: number } {
  const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last ?? first)];
  if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && from <= to) return { from, to };
  throw new InvalidArgumentError("a range is one number, or two with the smaller first: 0-15");
}

/** Permission bits in octal. */
export function parseMode(text: string): number {
  if (/^0?o?[0-7]{3,4}$/.test(text)) return Number.parseInt(text.replace("o", ""), 8);
  throw new InvalidArgumentError("a mode is three octal digits: 600, 660");
}

export function formatSize(sizeBytes: number): string {
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${UNITS[unit]!}`;
}

export function formatMode(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}
