/**
 * How results are written: one JSON object, a table for people, or a table for a document. Writes nothing itself; every
 * function returns the text.
 */

import { cpus } from "node:os";
import { createColors } from "picocolors";
import type { Row } from "./measure.ts";

/** The JSON object. Its shape is public: other programs read it. */
export interface Result {
  readonly topic: string;
  /** Version of Node; for another runtime its name and version, "bun 1.4.0". */
  readonly node: string;
  readonly cpu: string;
  /** When the run ended, ISO 8601. */
  readonly date: string;
  /** Whether the machine did nothing else, before and meanwhile. */
  readonly idle: boolean;
  readonly rows: readonly Row[];
}

/** The runtime this runs on, for `Result.node`. */
export function describeRuntime(): string {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return `bun ${bun}`;
  return deno === undefined ? node : `deno ${deno}`;
}

export function describeCpu(): string {
  const all = cpus();
  return `${all.length} x ${all[0]?.model.trim() ?? "unknown"}`;
}

function formatNumber(value: number | null): string {
  if (value === null) return "–";
  if (Number.isInteger(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return Math.abs(value) < 1 ? String(Number(value.toPrecision(3))) : value.toFixed(digits);
}

function formatPeers(peers: Row["peers"]): string {
  return Object.entries(peers)
    .map(([name, value]) => `${name} ${formatNumber(value)}`)
    .join(", ");
}

function markOf(holds: Row["holds"]): string {
  return holds === null ? " " : holds ? "✓" : "✗";
}

/** Aligned columns: mark, name, value, unit, target, peers. */
export function formatTable(result: Result, hasColors: boolean): string {
  const colors = createColors(hasColors);
  const cells = result.rows.map((row) => [
    row.name,
    formatNumber(row.value),
    row.unit,
    row.target === null ? "" : `${row.atLeast ? "at least" : "at most"} ${formatNumber(row.target)}`,
    formatPeers(row.peers),
  ]);
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const lines = cells.map((line, index) => {
    const [name = "", value = "", unit = "", target = "", peers = ""] = line;
    const [nameWidth = 0, valueWidth = 0, unitWidth = 0, targetWidth = 0] = widths;
    const holds = result.rows[index]?.holds ?? null;
    const paint = holds === null ? (text: string) => text : holds ? colors.green : colors.red;
    const figure = `${paint(value.padStart(valueWidth))} ${unit.padEnd(unitWidth)}`;
    const tail = `${colors.dim(target.padEnd(targetWidth))}  ${colors.dim(peers)}`;
    return `${paint(markOf(holds))} ${name.padEnd(nameWidth)}  ${figure}  ${tail}`.trimEnd();
  });
  const head = `${result.topic}: ${describeRow(result)}`;
  return `${colors.bold(head)}\n${lines.join("\n")}\n`;
}

function describeRow(result: Result): string {
  const name = /^\d/.test(result.node) ? `Node ${result.node}` : result.node;
  return `${name}, ${result.cpu}${result.idle ? "" : ", machine not idle"}`;
}

/** A heading of the document's table: "Node 24", "Bun". */
function columnTitle(node: string): string {
  const [first = "", version = ""] = node.split(" ");
  if (version === "") return `Node ${first.split(".")[0] ?? first}`;
  return `${first.charAt(0).toUpperCase()}${first.slice(1)} ${version.split(".").slice(0, 2).join(".")}`;
}

function formatTarget(results: readonly Result[], name: string): string {
  const rows = results.flatMap((result) => result.rows.filter((row) => row.name === name));
  const targets = rows.map(({ target }) => target).filter((target) => target !== null);
  const distinct = [...new Set(targets)].sort((a, b) => b - a);
  if (distinct.length === 0) return "";
  return `${rows[0]?.atLeast === true ? "at least " : ""}${distinct.map(formatNumber).join(" / ")}`;
}

function formatCell(row: Row | undefined): string {
  if (row === undefined) return "";
  const value = formatNumber(row.value);
  const peers = Object.keys(row.peers).length > 0 ? ` (${formatPeers(row.peers)})` : "";
  return `${row.holds === false ? `**${value}**` : value}${peers}`;
}

/** A Markdown table with one column for each result; what misses its target is bold. Peers are in parentheses. */
export function formatMarkdown(results: readonly Result[]): string {
  const names = [...new Set(results.flatMap((result) => result.rows.map((row) => row.name)))];
  const unitOf = (name: string): string =>
    results.flatMap((result) => result.rows).find((row) => row.name === name)?.unit ?? "";
  const header = ["row", "unit", "target", ...results.map((result) => columnTitle(result.node))];
  const lines = names.map((name) => [
    `\`${name}\``,
    unitOf(name),
    formatTarget(results, name),
    ...results.map((result) => formatCell(result.rows.find((row) => row.name === name))),
  ]);
  const rule = header.map((_, column) => (column < 2 ? "---" : "--:"));
  return [header, rule, ...lines].map((line) => `| ${line.join(" | ")} |\n`).join("");
}
