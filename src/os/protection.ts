/**
 * What a mapping's pages may be used for.
 */
import { native } from "./native.ts";

/** Reading, writing and running code; "none" reserves address space. */
export type Protection = "none" | "read" | "read-write" | "read-exec" | "read-write-exec";

const { PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC } = native.constants;

/** The kernel's bits for each, and their names for messages. */
export const protections: Readonly<Record<Protection, { readonly bits: number; readonly names: string }>> = {
  none: { bits: PROT_NONE, names: "PROT_NONE" },
  read: { bits: PROT_READ, names: "PROT_READ" },
  "read-write": { bits: PROT_READ | PROT_WRITE, names: "PROT_READ|PROT_WRITE" },
  "read-exec": { bits: PROT_READ | PROT_EXEC, names: "PROT_READ|PROT_EXEC" },
  "read-write-exec": { bits: PROT_READ | PROT_WRITE | PROT_EXEC, names: "PROT_READ|PROT_WRITE|PROT_EXEC" },
};
