/**
 * The peers of the alloc rows: other allocators, doing the same work. Compiles driver.cpp for each of them that is
 * installed, and runs it once a round, between Shoal's own samples. What is missing is said on standard error, with
 * what to install, and left out.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanUpLater } from "../harness/cleanup.ts";
import { reasonOf, runCommand } from "../harness/command.ts";
import type { Outcome } from "../harness/command.ts";
import { projectRoot } from "../harness/runtimes.ts";
import { removeSegment, segmentName } from "../harness/shm.ts";

/** One figure that the driver is asked for: a pattern as driver.cpp names it, and how long to measure. */
export interface DriverRequest {
  readonly pattern: string;
  readonly sizeBytes: number;
  readonly ms: number;
}

export interface Peer {
  readonly name: string;
  /** Has a segment of a fixed size, as a heap has, so that its end can be reached. */
  readonly isShared: boolean;
  /** A figure for each request. */
  readonly run: (requests: readonly DriverRequest[]) => Promise<number[]>;
}

/** Peers that come with one package, and share a binary of the driver. */
interface Kit {
  readonly peers: readonly string[];
  readonly isShared: boolean;
  /** The Debian package. */
  readonly package: string;
  readonly define: string;
  readonly libraries: readonly string[];
  /** A program that compiles where the package is installed. */
  readonly trial: string;
}

const compilerPackage = "g++";

const kits: readonly Kit[] = [
  {
    peers: ["glibc"],
    isShared: false,
    package: compilerPackage,
    define: "WITH_GLIBC",
    libraries: [],
    trial: "#include <vector>\nint main() {}\n",
  },
  {
    peers: ["mimalloc"],
    isShared: false,
    package: "libmimalloc-dev",
    define: "WITH_MIMALLOC",
    libraries: ["-lmimalloc"],
    trial: "#include <mimalloc.h>\nint main() { return mi_version() == 0; }\n",
  },
  {
    peers: ["boost", "boost-simple"],
    isShared: true,
    package: "libboost-dev",
    define: "WITH_BOOST",
    libraries: [],
    trial: "#include <boost/interprocess/interprocess_fwd.hpp>\nint main() {}\n",
  },
];

export interface Surroundings {
  /** The C++ compiler. */
  readonly compiler: string;
  readonly tell: (sentence: string) => void;
}

export function usualSurroundings(): Surroundings {
  return {
    compiler: process.env["CXX"] ?? "c++",
    tell: (sentence) => process.stderr.write(`${sentence}\n`),
  };
}

/** A private folder under the system's temporary one, until it is disposed of. */
function makeFolder(): { readonly folder: string; readonly dispose: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "shoal-bench-"));
  return { folder, dispose: cleanUpLater(() => rmSync(folder, { recursive: true, force: true })) };
}

function compileTrial(compiler: string, kit: Kit, folder: string): Promise<Outcome> {
  const binary = join(folder, `trial-${kit.define}`);
  return runCommand(compiler, ["-x", "c++", "-o", binary, "-", ...kit.libraries], { input: kit.trial });
}

/** "a", "a and b", "a, b and c". */
function listWords(words: readonly string[]): string {
  const [last = "", ...others] = [...words].reverse();
  return others.length === 0 ? last : `${others.reverse().join(", ")} and ${last}`;
}

function missingMessage(name: string, peers: readonly string[], packageName: string): string {
  return `no ${name}, so no figures for ${listWords(peers)}: apt-get install ${packageName}, or run with --with-peers`;
}

interface Search {
  readonly found: readonly Kit[];
  readonly missing: readonly Kit[];
  /** Why there is no compiler to search with; then everything is missing. */
  readonly compilerFault: string | undefined;
}

async function searchKits(compiler: string, folder: string): Promise<Search> {
  const outcomes = await Promise.all(
    kits.map(async (kit) => ({ kit, outcome: await compileTrial(compiler, kit, folder) })),
  );
  const own = outcomes.find(({ kit, outcome }) => kit.package === compilerPackage && outcome.code !== 0);
  const select = (isFound: boolean): Kit[] =>
    outcomes.filter(({ outcome }) => (outcome.code === 0) === isFound).map(({ kit }) => kit);
  if (own === undefined) return { found: select(true), missing: select(false), compilerFault: undefined };
  return { found: [], missing: kits, compilerFault: `${compiler}: ${reasonOf(own.outcome)}` };
}

/** The Debian packages that would have to be installed for all peers to be there. */
export async function findMissingPackages({ compiler }: Surroundings): Promise<string[]> {
  const { folder, dispose } = makeFolder();
  try {
    return (await searchKits(compiler, folder)).missing.map((kit) => kit.package);
  } finally {
    dispose();
  }
}

function tellMissing({ missing, compilerFault }: Search, tell: Surroundings["tell"]): void {
  if (compilerFault === undefined) {
    for (const kit of missing) tell(missingMessage(kit.package, kit.peers, kit.package));
    return;
  }
  const peers = missing.flatMap((kit) => kit.peers);
  tell(missingMessage(`C++ compiler (${compilerFault})`, peers, compilerPackage));
}

/** The segment that a peer's driver makes; the driver wants it without the slash. */
export function peerSegment(peer: string): string {
  return segmentName(`peer-${peer}`);
}

/** Runs a compiled driver; rejects unless it answers with one number for each request. */
export async function runDriver(
  binary: string,
  peer: string,
  requests: readonly DriverRequest[],
): Promise<number[]> {
  const segment = peerSegment(peer);
  const forget = cleanUpLater(() => removeSegment(segment)); // it may be killed before it can do so itself
  try {
    const args = requests.flatMap(({ pattern, sizeBytes, ms }) => [pattern, String(sizeBytes), String(ms)]);
    const outcome = await runCommand(binary, [peer, segment.slice(1), ...args]);
    if (outcome.code !== 0) throw new Error(`the peer ${peer} failed: ${reasonOf(outcome)}`);
    const figures = outcome.stdout.trim().split("\n").map(Number);
    if (figures.length === requests.length && figures.every(Number.isFinite)) return figures;
    throw new Error(
      `the peer ${peer} answered ${requests.length} requests with ${JSON.stringify(outcome.stdout)}`,
    );
  } finally {
    forget();
  }
}

async function compileKit(kit: Kit, folder: string, { compiler, tell }: Surroundings): Promise<Peer[]> {
  const binary = join(folder, kit.define);
  const source = join(projectRoot, "bench", "peers", "driver.cpp");
  const flags = ["-std=c++17", "-O2", `-D${kit.define}`, "-o", binary, source, "-pthread"];
  const outcome = await runCommand(compiler, [...flags, ...kit.libraries]);
  if (outcome.code !== 0) {
    tell(
      `the driver does not compile, so no figures for ${listWords(kit.peers)} (${compiler}: ${reasonOf(outcome)})`,
    );
    return [];
  }
  return kit.peers.map((name) => ({
    name,
    isShared: kit.isShared,
    run: (requests) => runDriver(binary, name, requests),
  }));
}

export interface PeerSet {
  readonly peers: readonly Peer[];
  readonly dispose: () => void;
}

/** Compiles the driver for whatever is installed. */
export async function compilePeers(surroundings: Surroundings = usualSurroundings()): Promise<PeerSet> {
  const { folder, dispose } = makeFolder();
  const search = await searchKits(surroundings.compiler, folder);
  tellMissing(search, surroundings.tell);
  const compiled = await Promise.all(search.found.map((kit) => compileKit(kit, folder, surroundings)));
  return { peers: compiled.flat(), dispose };
}
