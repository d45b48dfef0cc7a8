/** The conformance suite over buddy heaps. */
import { defineConformance } from "./conformance.ts";

defineConformance("buddy");
