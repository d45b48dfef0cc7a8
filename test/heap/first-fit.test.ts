/** The conformance suite over first-fit heaps. */
import { defineConformance } from "./conformance.ts";

defineConformance("first-fit");
