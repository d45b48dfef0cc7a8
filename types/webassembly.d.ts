/**
 * The part of the WebAssembly API that Shoal uses. TypeScript declares it only in its DOM library, which would
 * also let browser globals pass the type check. `Memory.buffer` is honest here: a shared memory has a
 * SharedArrayBuffer.
 */
declare namespace WebAssembly {
  type ImportExportKind = "function" | "global" | "memory" | "table" | "tag";
  type ExportValue = Function | Global | Memory;
  type Exports = Record<string, ExportValue>;
  type Imports = Record<string, Record<string, ExportValue | number | bigint>>;

  interface MemoryDescriptor {
    /** Pages of 64 KiB. */
    initial: number;
    /** Pages of 64 KiB; at most 65536. Required when shared. */
    maximum?: number;
    shared?: boolean;
  }

  interface ImportDescriptor {
    module: string;
    name: string;
    kind: ImportExportKind;
  }

  interface ExportDescriptor {
    name: string;
    kind: ImportExportKind;
  }

  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBufferLike;
    /** Adds pages; returns the number of pages there were. */
    grow(pages: number): number;
  }

  class Global {
    value: number | bigint;
    valueOf(): number | bigint;
  }

  class Module {
    constructor(bytes: Uint8Array | ArrayBuffer);
    static imports(module: Module): ImportDescriptor[];
    static exports(module: Module): ExportDescriptor[];
  }

  class Instance {
    constructor(module: Module, imports?: Imports);
    readonly exports: Exports;
  }

  class RuntimeError extends Error {}
  class CompileError extends Error {}
  class LinkError extends Error {}

  function compile(bytes: Uint8Array | ArrayBuffer): Promise<Module>;
}
