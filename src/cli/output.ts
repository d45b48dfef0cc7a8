/**
 * What every command has in common: how it prints, how it fails, and its exit codes. With --json exactly one JSON value
 * goes to standard output and nothing else; without, text for people, in colour only in a terminal.
 */
import pc from "picocolors";
import { ShoalError } from "../errors.ts";

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_PROBLEMS = 3;
export const EXIT_INTERRUPTED = 130;

export const EXIT_CODES_HELP = `
Exit codes:
  0    it worked
  1    the operation failed; the error's code is on standard error (with --json: in the object)
  2    bad usage
  3    verify found problems, or the demo lost bytes
  130  interrupted (Ctrl-C)`;

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
}

const isColourful =
  process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";

export const colours = pc.createColors(isColourful);

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Resolves when standard output has taken the bytes; false when nobody reads it any more. */
export function writeOut(bytes: Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => {
      if (error === null || error === undefined) resolve(true);
      else if ("code" in error && error.code === "EPIPE") resolve(false);
      else reject(error);
    });
  });
}

/** For people, beside the output proper. */
export function note(text: string): void {
  process.stderr.write(`shoal: ${text}\n`);
}

/** A table with aligned columns; those whose heading starts with ">" are aligned to the right. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const names = headings.map((heading) => heading.replace(/^>/, ""));
  const widths = names.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]!.length)),
  );
  const format = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        headings[column]!.startsWith(">") ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd();
  return [colours.bold(format(names)), ...rows.map(format)].join("\n");
}

export interface ErrorFacts {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, number | string>>;
}

/** An error as --json shows it. One that is not Shoal's is a defect, or Node's own (ENOENT, EPIPE). */
export function describeError(error: unknown): ErrorFacts {
  if (error instanceof ShoalError)
    return { code: error.code, message: error.message, details: error.details };
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error ? String(error.code) : "ERR_SHOAL_SYSTEM";
  return { code, message, details: {} };
}

/** Prints an error as this output wants it: one line, or one JSON object. */
export function printError(error: unknown, isJson: boolean): void {
  const facts = describeError(error);
  if (isJson) printJson({ error: facts });
  else note(`${facts.code}: ${facts.message.replaceAll("\n", " ")}`);
  const isDefect = !(error instanceof ShoalError) && error instanceof Error && !("code" in error);
  if (isDefect && !isJson) process.stderr.write(`${error.stack ?? ""}\n`);
}
