/** The conformance suite over slab heaps. */
import { defineConformance } from "./conformance.ts";

defineConformance("slab");
