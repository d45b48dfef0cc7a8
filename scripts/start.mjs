// `npm start`: sets up and runs the main job, `shoal demo`. Only the demo writes to standard output, so
// `npm start --silent -- --json` prints one JSON object and nothing else (--silent: npm prints a banner).
import { join } from "node:path";
import { becomeProgram, root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

await setupOrExit();
becomeProgram(join(root, "dist", "src", "cli", "main.js"), ["demo", ...process.argv.slice(2)]);
