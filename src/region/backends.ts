/** The four backends by name. */

import { shoalError } from "../errors.ts";
import type { Backend } from "./backing.ts";
import { anonymousBackend, fileBackend, posixBackend } from "./file-backing.ts";
import { checkBackend } from "./options.ts";
import type { BackendName } from "./options.ts";
import { sysvBackend } from "./sysv-backing.ts";

const backends: Readonly<Record<BackendName, Backend>> = {
  posix: posixBackend,
  file: fileBackend,
  sysv: sysvBackend,
  anonymous: anonymousBackend,
};

export function backendOf(name: BackendName | undefined): Backend {
  return backends[checkBackend(name ?? "posix")];
}

/** The backend with this BACKEND_ code. */
export function backendNameOf(code: number): BackendName {
  const found = Object.values(backends).find((backend) => backend.code === code);
  if (found !== undefined) return found.name;
  throw shoalError("ERR_SHOAL_CORRUPT", `the header names backend ${code}, which there is not`, {
    backend: code,
  });
}
