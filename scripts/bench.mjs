// `npm run bench -- TOPIC [--json] [--quick]`: sets up and runs the benchmarks.
import { join } from "node:path";
import { becomeProgram, root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

await setupOrExit();
becomeProgram(join(root, "dist", "bench", "main.js"), process.argv.slice(2));
