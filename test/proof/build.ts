/** Builds what the proof runs on, as `npm run proof` does. */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { projectFolder } from "../os/support.ts";

interface ProofBuild {
  buildProof(): Promise<void>;
}

export async function buildProof(): Promise<void> {
  const script = pathToFileURL(join(projectFolder(), "scripts", "build-proof.mjs")).href;
  await ((await import(script)) as ProofBuild).buildProof();
}
