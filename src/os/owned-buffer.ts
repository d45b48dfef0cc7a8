/**
 * An ArrayBuffer over mapped memory, and the memory's end: the part that `mmap` and `shmat` share.
 *
 * The memory is given back once, by whichever comes first: `release`, the garbage collection of the buffer (all views
 * hold it), or the thread's end (the addon's clean-up hook). The buffer is detached first.
 *
 * A buffer can leave its owner behind: `transfer()` moves the memory to a new one, of which nothing is known here. The
 * method is therefore refused; and when a buffer is found emptied by other means (or cannot be detached), the
 * memory is replaced by private zero pages and not unmapped, so that nobody's view ever crashes.
 */
import { shoalError } from "../errors.ts";
import { native } from "./native.ts";

/** Memory at an address, with the buffer over it. Empty (`buffer.byteLength` 0) when it may not be accessed. */
export interface OwnedBuffer {
  readonly buffer: ArrayBuffer;
  /** Ends the ownership and detaches the buffer; the memory itself is left to the caller. */
  disown(): void;
  /** Ends it and undoes the mapping. */
  release(): void;
}

/** What is needed to give the memory back; must not refer to the buffer. */
interface Claim {
  readonly address: number;
  /** Whole pages. */
  readonly spanBytes: number;
  readonly isSysv: boolean;
  token: number;
}

function undo(claim: Claim): void {
  if (claim.isSysv) native.shmdt(claim.address);
  else native.munmap(claim.address, claim.spanBytes);
}

function overlayWithZeros({ address, spanBytes }: Claim): void {
  const { PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE } = native.constants;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  native.mmap(address, spanBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
}

const collected = new FinalizationRegistry<Claim>((claim) => {
  if (claim.token === 0) return;
  native.mapDisown(claim.token);
  undo(claim);
});

function refuseTransfer(): never {
  const message =
    "the buffer of a mapping cannot be transferred: its memory is the mapping's. Copy it with slice()";
  throw shoalError("ERR_SHOAL_UNSUPPORTED", message);
}

const refusal = { value: refuseTransfer, configurable: true };

function makeBuffer(claim: Claim, lengthBytes: number): ArrayBuffer {
  const buffer = native.externalBuffer(claim.address, lengthBytes);
  if (typeof buffer !== "number") {
    return Object.defineProperties(buffer, { transfer: refusal, transferToFixedLength: refusal });
  }
  undo(claim);
  const message =
    `this engine makes no ArrayBuffer of ${lengthBytes} bytes over memory of its own choosing; ` +
    "map a smaller part of the file";
  throw shoalError("ERR_SHOAL_UNSUPPORTED", message, { lengthBytes });
}

/**
 * Takes ownership of mapped memory.
 *
 * @param lengthBytes of the buffer
 * @param spanBytes of the mapping, whole pages
 * @param isAccessible false: the buffer is empty, since touching the memory would end the process
 * @throws ERR_SHOAL_UNSUPPORTED when the engine cannot make the buffer; the memory was given back
 */
export function ownMemory(
  address: number,
  lengthBytes: number,
  spanBytes: number,
  { isSysv = false, isAccessible = true }: { isSysv?: boolean; isAccessible?: boolean } = {},
): OwnedBuffer {
  const claim: Claim = { address, spanBytes, isSysv, token: 0 };
  const buffer = isAccessible ? makeBuffer(claim, lengthBytes) : new ArrayBuffer(0);
  claim.token = Math.max(0, native.mapOwn(address, isSysv ? 0 : spanBytes));
  collected.register(buffer, claim, claim);
  const disown = (): boolean => {
    if (claim.token !== 0) native.mapDisown(claim.token);
    claim.token = 0;
    collected.unregister(claim);
    if (!isAccessible) return true;
    return buffer.byteLength > 0 && native.detach(buffer) >= 0 && buffer.byteLength === 0;
  };
  return {
    buffer,
    disown: () => {
      if (!disown()) overlayWithZeros(claim);
    },
    release: () => {
      if (disown()) undo(claim);
      else overlayWithZeros(claim);
    },
  };
}
