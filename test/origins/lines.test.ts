/** The lesson's two programs, done right: one row of the origins. The rest about them is in test/cli/lines.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sharedNames, startShoal } from "../cli/shoal.ts";
import { freshPosixName } from "../helpers/segments.ts";

const input = Array.from({ length: 100_000 }, (_, index) => `line ${index}, größer als nichts\n`).join("");

for (const first of ["writer", "reader"] as const) {
  test(`P6 100,000 lines through one segment come out identical, the ${first} starting first`, async (t) => {
    const name = freshPosixName(t);
    const startWriter = (): ReturnType<typeof startShoal> => {
      const writer = startShoal("write", name);
      writer.child.stdin.end(input);
      return writer;
    };
    const early = first === "writer" ? startWriter() : startShoal("read", name);
    while (sharedNames(name).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const late = first === "writer" ? startShoal("read", name) : startWriter();
    const outcomes = await Promise.all([early.outcome, late.outcome]);
    assert.deepEqual(
      outcomes.map(({ code }) => code),
      [0, 0],
      outcomes.map(({ stderr }) => stderr).join(""),
    );
    const { stdout } = first === "writer" ? outcomes[1] : outcomes[0];
    assert.ok(stdout.equals(Buffer.from(input)));
    assert.deepEqual(sharedNames(name), [], "the last one out removes the segment");
  });
}
