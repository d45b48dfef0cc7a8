// `npm run storm -- [options]`: sets up and runs the kill storm.
import { join } from "node:path";
import { becomeProgram, root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

await setupOrExit();
becomeProgram(join(root, "dist", "storm", "main.js"), process.argv.slice(2));
