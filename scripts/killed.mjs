// `npm run killed [-- --tries N --json]`: sets up and measures what a killed process costs the others, Boost's and Shoal's.
import { join } from "node:path";
import { becomeProgram, root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

await setupOrExit();
becomeProgram(join(root, "dist", "bench", "peers", "killed.js"), process.argv.slice(2));
