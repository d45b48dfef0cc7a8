/** `shoal/region`: named, growable segments of shared memory. */
export { ERROR_CODES, ShoalError } from "../errors.ts";
export type { ErrorDetails, ShoalErrorCode } from "../errors.ts";
export type { ListOptions, RegionSummary } from "./list.ts";
export {
  BACKEND_NAMES,
  DEFAULT_MODE,
  DEFAULT_PARTICIPANT_COUNT,
  DEFAULT_REGION_SIZE_BYTES,
  MOST_PARTICIPANT_COUNT,
} from "./options.ts";
export type { AddressSearch, BackendName, CreateOptions, OpenOptions } from "./options.ts";
export type { ParticipantInfo } from "./participants.ts";
export type { RawOptions, RawRegion } from "./raw.ts";
export { Region } from "./region.ts";
export type { SharedMemory } from "./region.ts";
