/** Messages as the commands print them. */

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A raw message in JSON: text, or what is no text in base64. */
export function jsonOf(value: unknown): unknown {
  if (!(value instanceof Uint8Array)) return value;
  try {
    return utf8.decode(value);
  } catch {
    return { base64: Buffer.from(value).toString("base64") };
  }
}

/** What is printed of a message. */
export function lineOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return Buffer.concat([value, Buffer.from("\n")]);
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** Aborts when the process is interrupted, and when nobody reads its output any more. */
export function stopSignal(interrupt: AbortSignal): AbortSignal {
  const closed = new AbortController();
  process.stdout.on("error", () => closed.abort());
  return AbortSignal.any([interrupt, closed.signal]);
}
