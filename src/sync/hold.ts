/** What a lock gives its holder. */

import { shoalError } from "../errors.ts";

/**
 * Stands for one holding, and releases it: by release(), or at the end of a `using` or `await using` scope. A class, since one
 * is made at each lock, and a constructor's objects are what engines make fastest.
 */
export class Hold implements Disposable, AsyncDisposable {
  /** The one who held it before died with it: what it guards may be half changed. */
  readonly abandoned: boolean;
  readonly #label: string;
  #release: ((hold: Hold) => void) | undefined;

  /** @internal */
  constructor(release: (hold: Hold) => void, label: string, abandoned: boolean) {
    this.#release = release;
    this.#label = label;
    this.abandoned = abandoned;
  }

  /** Whether it has not been released. */
  get held(): boolean {
    return this.#release !== undefined;
  }

  /** @throws ERR_SHOAL_NOT_HOLDER when it has been released */
  release(): void {
    const release = this.#release;
    if (release === undefined) {
      const message = `${this.#label}: that hold was released before`;
      throw shoalError("ERR_SHOAL_NOT_HOLDER", message, { label: this.#label });
    }
    this.#release = undefined;
    release(this);
  }

  [Symbol.dispose](): void {
    if (this.#release !== undefined) this.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }
}
