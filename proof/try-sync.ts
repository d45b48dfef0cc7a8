import { lockRaces } from "./races-sync.ts";
import { runSyncRace } from "./run-sync.ts";
import { makeTally } from "./tally.ts";

const [only = "", most = "30000", preemptions = "2"] = process.argv.slice(2);
const start = performance.now();
let states = 0;
for (const race of lockRaces) {
  if (!race.name.includes(only)) continue;
  const t = performance.now();
  const tally = makeTally();
  try {
    runSyncRace(race, tally, {
      mostStates: Number(most),
      preemptions: Number(preemptions),
      isOver: () => false,
    });
  } catch (error) {
    console.log("BROKEN", race.name, error);
    continue;
  }
  states += tally.steps;
  console.log(
    race.name,
    tally.schedules,
    tally.steps,
    tally.deaths,
    tally.bounded ? "BOUNDED" : "",
    (performance.now() - t).toFixed(0),
    "ms",
  );
  for (const { message, replay } of tally.violations)
    console.log("   ", message.slice(0, 300), "\n   ", replay);
}
console.log(states, performance.now() - start);
