import { runRace } from "./run-race.ts";
import { makeTally } from "./tally.ts";
import { races } from "./races.ts";

const all = makeTally();
const stride = Number(process.argv[2] ?? 0);
const t0 = performance.now();
for (const race of races) {
  if (process.argv[3] && !`${race.heap}/${race.name}`.includes(process.argv[3])) continue;
  const t = performance.now();
  const tally = makeTally();
  try {
    runRace(race, tally, { mostStates: 30000, deathStride: stride, isOver: () => false });
  } catch (e) {
    console.log("BROKEN", race.heap, race.name, e);
    continue;
  }
  const { sitesHit, violations, ...rest } = tally;
  const ms = performance.now() - t;
  if (ms > 500 || violations.length || tally.cut)
    console.log(
      race.heap,
      race.name,
      rest.schedules,
      rest.steps,
      rest.deaths,
      rest.cut ? "CUT" : "",
      ms.toFixed(0),
      "ms",
      violations.map((v) => v.message.slice(0, 900) + "\n   " + v.replay).join(),
    );
  all.schedules += tally.schedules;
  all.steps += tally.steps;
  all.deaths += tally.deaths;
  all.cut += tally.cut;
  all.operations++;
  for (const s of sitesHit) all.sitesHit.add(s);
}
console.log(
  races.length,
  all.schedules,
  all.steps,
  all.deaths,
  all.cut,
  all.sitesHit.size,
  ((performance.now() - t0) / 1000).toFixed(1),
);
