/** The conformance suite over posix segments. */
import { defineConformance } from "./conformance.ts";

defineConformance("posix");
