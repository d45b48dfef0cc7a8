/** The conformance suite over file segments. */
import { defineConformance } from "./conformance.ts";

defineConformance("file");
