// `npm run proof -- [options]`: sets up and runs the proof (proof/main.ts; --help tells the options).
import { join } from "node:path";
import { buildProof } from "./build-proof.mjs";
import { becomeProgram, root } from "./lib/project.mjs";
import { setupOrExit } from "./setup.mjs";

await setupOrExit();
await buildProof();
becomeProgram(join(root, "dist", "proof", "main.js"), process.argv.slice(2));
