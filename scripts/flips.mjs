// `npm run flips -- [options]`: sets up and damages heaps.
import { join } from "node:path";
import { becomeProgram, root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

await setupOrExit();
becomeProgram(join(root, "dist", "flips", "main.js"), process.argv.slice(2));
