#!/usr/bin/env node
/**
 * The `shoal` command: names, arguments and help of its sub-commands. Each one's work is in the file of its name, which is
 * loaded when it is called, so that no command waits for another's imports. Exit codes: output.ts.
 */
import { readFileSync } from "node:fs";
import { Argument, Command, CommanderError, Option } from "commander";
import { EXIT_CODES_HELP, EXIT_FAILED, EXIT_OK, EXIT_USAGE, note, printError, printJson } from "./output.ts";
import { backendOption } from "./segment-options.ts";
import { parseCount, parseSize } from "./sizes.ts";

const MOST_FILLERS = 62;

interface CommandModule<Arguments extends unknown[]> {
  readonly run: (...args: Arguments) => number | Promise<number>;
}

/** Commander's action: loads the command, runs it, and turns what it throws into a line or an object. */
function act<Arguments extends unknown[]>(load: () => Promise<CommandModule<Arguments>>) {
  return async (...args: unknown[]): Promise<void> => {
    const command = args.at(-1) as Command;
    try {
      const { run } = await load();
      // Commander hands over the arguments, then the options, then the command itself.
      process.exitCode = await run(...(args as Arguments));
    } catch (error) {
      if (error instanceof CommanderError) throw error; // bad usage that only the command could see
      printError(error, command.opts()["json"] === true);
      process.exitCode = EXIT_FAILED;
    }
  };
}

/**
 * The commands whose options tell of the library's limits and defaults, so that help cannot say anything else. They are
 * added from the command's own file when its name is among the arguments: commander asks for no options later, not even
 * for those of a command that `help` is about.
 */
const ADD_OPTIONS: Readonly<Record<string, () => Promise<{ addOptions: (command: Command) => void }>>> = {
  create: () => import("./create.ts"),
  draw: () => import("./draw.ts"),
};

async function addLateOptions(program: Command, args: readonly string[]): Promise<void> {
  for (const command of program.commands) {
    const load = ADD_OPTIONS[command.name()];
    if (load !== undefined && args.includes(command.name())) (await load()).addOptions(command);
  }
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ shoal ${line}`).join("\n")}\n${EXIT_CODES_HELP}`;
}

function addCommand(program: Command, name: string, summary: string, ...shown: readonly string[]): Command {
  return program
    .command(name)
    .summary(summary)
    .description(summary)
    .option("--json", "print one JSON value on standard output, and nothing else")
    .addHelpText("after", examples(...shown));
}

function addDemo(program: Command): void {
  const summary = "fill one growing segment from many processes at once, and count what got lost";
  addCommand(
    program,
    "demo",
    summary,
    "demo",
    "demo --processes 4 --threads 2 --size 64M",
    "demo --kill",
    "demo --json",
  )
    .option("-p, --processes <n>", "processes that take part", parseCount(1, MOST_FILLERS), 8)
    .option(
      "-t, --threads <n>",
      "worker threads beside each process's main thread",
      parseCount(0, MOST_FILLERS),
      0,
    )
    .option("-s, --size <size>", "bytes to fill", parseSize, 4 * 1024 * 1024)
    .option("--kill", "SIGKILL one process midway, and show that nobody else minds")
    .option("--busy", "one system call for each byte")
    .option("--repeat <n>", "run so many times and add up", parseCount(1, 1_000_000), 1)
    .action(act(() => import("./demo.ts")));
}

function addSegmentCommands(program: Command): void {
  const name = (): Argument => new Argument("<name>", "the segment's name (file: path; sysv: key)");
  addCommand(
    program,
    "create",
    "make a segment, and leave it there",
    "create notes --size 4M",
    "create raw --no-heap --span 1G",
    "create words --allocator buddy --min-block 16 --max-block 512",
  )
    .addArgument(name())
    .addOption(backendOption())
    .action(act(() => import("./create.ts")));
  addCommand(program, "ls", "list the segments there are", "ls", "ls --backend file /var/tmp", "ls --json")
    .argument("[directory]", "where to look for files (--backend file; default: here)")
    .addOption(backendOption())
    .action(act(() => import("./ls.ts")));
  addCommand(
    program,
    "stat",
    "show a segment: header, participants, heap, page map",
    "stat notes",
    "stat notes --json",
  )
    .addArgument(name())
    .addOption(backendOption())
    .action(act(() => import("./stat.ts")));
  addCommand(
    program,
    "draw",
    "draw a heap's own bookkeeping: pages, maximal blocks or blocks, bit by bit",
    "draw notes",
    "draw words --blocks 0-7",
    "draw words --json",
  )
    .addArgument(name())
    .addOption(backendOption())
    .action(act(() => import("./draw.ts")));
  addCommand(program, "grow", "make a segment's data area at least so large", "grow notes 16M")
    .addArgument(name())
    .addArgument(new Argument("<size>", "bytes of data").argParser(parseSize))
    .addOption(backendOption())
    .action(act(() => import("./grow.ts")));
  addCommand(program, "rm", "remove segments; who has one open keeps it", "rm notes", "rm notes raw")
    .argument("<names...>", "the segments' names")
    .addOption(backendOption())
    .action(act(() => import("./rm.ts")));
  addCommand(
    program,
    "verify",
    "recompute a segment's invariants, changing nothing",
    "verify notes",
    "verify notes --json",
  )
    .addArgument(name())
    .addOption(backendOption())
    .action(act(() => import("./verify.ts")));
}

function addMap(program: Command): void {
  const summary = "list shared mappings: address, size, permissions, kind, object";
  addCommand(program, "map", summary, "map", "map 4711", "map $$ --json")
    .argument("[pid]", "one process (default: all whose mappings you may read)", parseCount(1, 0x7fffffff))
    .action(act(() => import("./map.ts")));
}

function addLines(program: Command): void {
  addCommand(
    program,
    "write",
    "pass on the lines of standard input to `shoal read`",
    "write chat",
    "write chat < file",
  )
    .argument("<name>", "the channel's name; either side may come first, and the last one out removes it")
    .action(act(() => import("./write.ts")));
  addCommand(
    program,
    "read",
    "print the lines that `shoal write` passes on",
    "read chat",
    "read chat --follow > file",
  )
    .argument("<name>", "the channel's name; either side may come first, and the last one out removes it")
    .option("-f, --follow", "wait for other writers when all have ended")
    .action(act(() => import("./read.ts")));
}

function addChannels(program: Command): void {
  const codec = (): Option =>
    new Option("--codec <codec>", "how messages are written").choices(["json", "raw"]);
  const count = parseCount(0, 0x7fffffff);
  const add = (name: string, summary: string, channel: string, ...shown: readonly string[]): Command =>
    addCommand(program, name, summary, ...shown)
      .argument("<name>", "the heap's name (file: path; sysv: key)")
      .argument("<channel>", channel)
      .addOption(backendOption());
  add(
    "send",
    "send messages to a queue, ring or topic: arguments, or lines of standard input",
    "the queue's, ring's or topic's name",
    `send notes jobs '{"id": 1}' --create`,
    "send notes lines --codec raw --create < file",
    "send notes jobs --text hello --timeout 1000",
  )
    .argument("[messages...]", "one message each (default: a line of standard input each)")
    .addOption(codec())
    .option("--text", "messages are strings, and not JSON")
    .option("--create", "make the queue if there is none")
    .option("--capacity <n>", "for --create: how many messages it has room for", count)
    .option("--bytes <size>", "for --create: room for a message in the queue itself", parseSize)
    .option("--end", "end the channel afterwards: receivers get what there is, and are done")
    .option("--timeout <ms>", "how long to wait for room (default: as long as it takes)", count)
    .action(act(() => import("./send.ts")));
  add(
    "receive",
    "take messages out of a queue or ring, and print a line for each",
    "the queue's or ring's name",
    "receive notes jobs",
    "receive notes jobs --count 10 --timeout 1000",
    "receive notes jobs --follow > file",
  )
    .addOption(codec())
    .option("-n, --count <n>", "how many (default 1)", parseCount(1, 0x7fffffff))
    .option("-f, --follow", "go on until the channel is ended")
    .option("--timeout <ms>", "how long to wait for each (0: only what is there)", count)
    .action(act(() => import("./receive.ts")));
  add(
    "tail",
    "print what is published on a topic, from now on",
    "the topic's name",
    "tail notes news",
    "tail notes news --history --count 10",
  )
    .addOption(codec())
    .option("--history", "begin with the messages that the topic keeps for late subscribers")
    .option("-n, --count <n>", "end after so many", parseCount(1, 0x7fffffff))
    .option("--timeout <ms>", "how long to wait for each (default: as long as it takes)", count)
    .action(act(() => import("./tail.ts")));
  addCommand(
    program,
    "locks",
    "list a heap's named locks, channels and ports: who holds them, who waits",
    "locks notes",
    "locks notes --watch",
    "locks notes --json",
  )
    .argument("<name>", "the heap's name (file: path; sysv: key)")
    .addOption(backendOption())
    .option("-w, --watch", "go on, and show what changes")
    .action(act(() => import("./locks.ts")));
}

/** Of the package that this file was compiled into: dist/src/cli is three folders down. */
function readVersion(): string {
  const manifest = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

function build(): Command {
  const program = new Command("shoal")
    .description("Shared memory for Node.js: segments, heaps, and who is in them.")
    .version(readVersion())
    .exitOverride()
    .configureOutput({ writeErr: (text) => complaints.push(text), outputError: () => undefined })
    .addHelpText("after", EXIT_CODES_HELP);
  addDemo(program);
  addSegmentCommands(program);
  addMap(program);
  addLines(program);
  addChannels(program);
  return program;
}

/** Help that commander wanted on standard error: there was no sub-command. */
const complaints: string[] = [];

function reportUsage(error: CommanderError): void {
  const message =
    error.code === "commander.help" ? "no command given" : error.message.replace(/^error: /, "");
  if (process.argv.includes("--json")) {
    printJson({ error: { code: "ERR_SHOAL_USAGE", message, details: {} } });
    return;
  }
  process.stderr.write(complaints.join(""));
  note(`ERR_SHOAL_USAGE: ${message}; see --help`);
}

// Whoever reads our output may stop early (head): that is no failure of ours, and what we do is still done to its end.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  const program = build();
  await addLateOptions(program, process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    if (error.exitCode !== 0) reportUsage(error);
    process.exitCode = error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  } else {
    // A command's file that could not be loaded.
    printError(error, process.argv.includes("--json"));
    process.exitCode = EXIT_FAILED;
  }
}
