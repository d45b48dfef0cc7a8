// Turns a module of the core into what the proof runs (proof/coroutine.ts): the checked build becomes a coroutine that stops
// before every access to shared memory and says which it is.
//
// Works on Binaryen's text form, where each instruction is a list with its operands inside.
import binaryen from "binaryen";

const { Atomics, BulkMemory, BulkMemoryOpt, MutableGlobals, NontrappingFPToInt, SignExt, SIMD128 } =
  binaryen.Features;
const features =
  Atomics | BulkMemory | BulkMemoryOpt | MutableGlobals | NontrappingFPToInt | SignExt | SIMD128;

/** A text of nested lists: a list is an array, all else a string. */
function parse(text) {
  const tokens = text.match(/;;[^\n]*|"(?:[^"\\]|\\.)*"|[()]|[^\s()"]+/g);
  let at = 0;
  const read = () => {
    let token = tokens[at++];
    while (token.startsWith(";;")) token = tokens[at++];
    if (token !== "(") return token;
    const list = [];
    for (;;) {
      const part = tokens[at].startsWith(";;") ? undefined : tokens[at] === ")" ? null : read();
      if (part === undefined || part === null) at++;
      if (part === null) return list;
      if (part !== undefined) list.push(part);
    }
  };
  return read();
}

const print = (node) => (Array.isArray(node) ? `(${node.map(print).join(" ")})` : node);

const isOf = (node, ...heads) => Array.isArray(node) && heads.includes(node[0]);

/** Kinds of accesses, as `env.access` is told them. */
const kinds = { read: 0, write: 1, fill: 2, copy: 3 };

const widths = { i32: 4, i64: 8, f32: 4, f64: 8, v128: 16 };

/** What an instruction does to memory: its kind and the operands' types. Undefined: nothing. */
function accessOf(head) {
  if (head === "memory.fill") return { kind: kinds.fill, types: ["i32", "i32", "i32"] };
  if (head === "memory.copy") return { kind: kinds.copy, types: ["i32", "i32", "i32"] };
  if (/^(memory\.size|memory\.grow|atomic\.fence)$/.test(head)) return undefined;
  if (/^(memory|table|data)\./.test(head))
    throw new Error(`${head} is nothing that this knows to stop before`);
  const match = /^(\w+)\.(?:atomic\.)?(load|store|rmw)(\d*)(.*)$/.exec(head);
  if (match === null) return undefined;
  const [, type, verb, bits, rest] = match;
  const operands = verb === "load" ? 0 : rest.includes("cmpxchg") ? 2 : 1;
  return {
    kind: verb === "load" ? kinds.read : kinds.write,
    types: ["i32", ...Array.from({ length: operands }, () => type)],
    lengthBytes: bits === "" ? widths[type] : Number(bits) / 8,
    result: verb === "store" ? undefined : type,
  };
}

/** The function with a call of `$access` before each of its accesses, whose operands are in locals by then. */
function stopBeforeAccesses(func, checkpoint) {
  const locals = new Map();
  const local = (name, type) => {
    locals.set(name, type);
    return name;
  };
  const rewrite = (node, depth) => {
    if (!Array.isArray(node)) return node;
    if (node[0] === "call" && node[1] === checkpoint) return ["global.set", "$site", node[2]];
    if (node[0] === "memory.size") return ["global.get", "$mapped"];
    const access = typeof node[0] === "string" ? accessOf(node[0]) : undefined;
    if (access === undefined) return node.map((part) => rewrite(part, depth));
    const attributes = node.slice(1).filter((part) => !Array.isArray(part));
    const operands = node.slice(1).filter(Array.isArray);
    const names = access.types.map((type, index) => local(`$stop${depth}.${index}.${type}`, type));
    const get = (index) => ["local.get", names[index]];
    const offset = attributes.find((part) => part.startsWith("offset="))?.slice(7) ?? "0";
    const isRange = access.lengthBytes === undefined;
    const call = [
      "call",
      "$access",
      ["local.get", local("$stop.site", "i32")],
      ["i32.const", String(access.kind)],
      ["i32.add", get(0), ["i32.const", offset]],
      isRange ? get(2) : ["i32.const", String(access.lengthBytes)],
      isRange ? get(1) : ["i32.const", "0"],
    ];
    return [
      "block",
      ...(access.result === undefined ? [] : [["result", access.result]]),
      ...operands.map((operand, index) => ["local.set", names[index], rewrite(operand, depth + 1)]),
      // An access that no checkpoint comes before has site 0.
      ["local.set", "$stop.site", ["global.get", "$site"]],
      ["global.set", "$site", ["i32.const", "0"]],
      call,
      [node[0], ...attributes, ...names.map((_name, index) => get(index))],
    ];
  };
  const body = func.map((part) => rewrite(part, 0));
  const firstInstruction = body.findIndex(
    (part, index) => index > 1 && !isOf(part, "export", "param", "result", "local", "type"),
  );
  const end = firstInstruction === -1 ? body.length : firstInstruction;
  const declarations = [...locals].map(([name, type]) => ["local", name, type]);
  return [...body.slice(0, end), ...declarations, ...body.slice(end)];
}

/** Exported functions `saveGlobals(at)` and `loadGlobals(at)`: all that an instance knows, to memory and back. */
function globalsToMemory(globals) {
  const mutable = globals.filter((node) => isOf(node[2], "mut"));
  let offset = 0;
  const places = mutable.map(([, name, [, type]]) => {
    const place = { name, type, offset: `offset=${offset}` };
    offset += widths[type];
    return place;
  });
  const at = ["local.get", "$at"];
  const save = places.map((one) => [
    `${one.type}.store`,
    one.offset,
    "align=4",
    at,
    ["global.get", one.name],
  ]);
  const load = places.map((one) => ["global.set", one.name, [`${one.type}.load`, one.offset, "align=4", at]]);
  const make = (name, body) => [
    "func",
    `$${name}`,
    ["export", `"${name}"`],
    ["param", "$at", "i32"],
    ...body,
  ];
  const size = [
    "func",
    "$globalsBytes",
    ["export", '"globalsBytes"'],
    ["result", "i32"],
    ["i32.const", `${offset}`],
  ];
  return [make("saveGlobals", save), make("loadGlobals", load), size];
}

/** How many pages the participant can reach: all have one memory, so each is told by the exported `setMapped(pages)`. */
const mapped = ["global", "$mapped", ["mut", "i32"], ["i32.const", "0"]];
const setMapped = [
  "func",
  "$setMapped",
  ["export", '"setMapped"'],
  ["param", "$pages", "i32"],
  ["global.set", "$mapped", ["local.get", "$pages"]],
];
const getMapped = ["func", "$mapped", ["export", '"mapped"'], ["result", "i32"], ["global.get", "$mapped"]];
/** Exported function `sleep(at, seen)`: reads the word at `at`, which is to be done when it is not `seen` (proof/explore.ts). */
const sleepOn = (checkpoint) => [
  "func",
  "$sleep",
  ["export", '"sleep"'],
  ["param", "$at", "i32"],
  ["param", "$seen", "i32"],
  ["result", "i32"],
  ["call", checkpoint, ["i32.const", "500"]],
  ["i32.atomic.load", ["local.get", "$at"]],
];

/** The parts of a module: its text as lists, sorted by what they are. */
function takeApart(bytes) {
  const module = binaryen.readBinary(bytes);
  module.setFeatures(features);
  const [, ...parts] = parse(module.emitText());
  module.dispose();
  return parts;
}

/** The module of these parts, after these passes. */
function assemble(parts, passes) {
  const module = binaryen.parseText(print(["module", ...parts]));
  try {
    module.setFeatures(features);
    // Asyncify itself optimises what it has made when this is not 0; more is not worth its time.
    binaryen.setOptimizeLevel(1);
    module.runPasses(passes);
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}

/**
 * A checked module as a coroutine. It imports `env.access(site, kind, address, length, from)`, called before each access, in
 * which it can be unwound and rewound (Binaryen's Asyncify), and exports how to save and load its globals.
 */
export function makeCoroutine(bytes) {
  const parts = takeApart(bytes);
  const isCheckpoint = (part) => isOf(part, "import") && part[2] === '"checkpoint"';
  const checkpoint = parts.find(isCheckpoint)[3][1];
  const globals = [...parts.filter((part) => isOf(part, "global")), mapped];
  const sleep = sleepOn(checkpoint);
  const access = ["func", "$access", ["param", "i32", "i32", "i32", "i32", "i32"]];
  const stopping = [...parts, sleep].map((part) => {
    if (isCheckpoint(part)) return ["import", '"env"', '"access"', access];
    return isOf(part, "func") ? stopBeforeAccesses(part, checkpoint) : part;
  });
  const site = ["global", "$site", ["mut", "i32"], ["i32.const", "0"]];
  binaryen.setPassArgument("asyncify-imports", "env.access");
  return assemble(
    [...stopping, site, mapped, setMapped, getMapped, ...globalsToMemory(globals)],
    ["asyncify"],
  );
}
