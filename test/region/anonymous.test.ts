/** The conformance suite over anonymous segments. */
import { defineConformance } from "./conformance.ts";

defineConformance("anonymous");
