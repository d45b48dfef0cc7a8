/** The conformance suite over sysv segments. */
import { defineConformance } from "./conformance.ts";

defineConformance("sysv");
