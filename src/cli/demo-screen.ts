/**
 * What a person sees of a running fill. In a terminal: a bar for each process, and below them the segment's size and a map
 * of who wrote where, as they grow. Elsewhere: a line for each thing that happens.
 */
import { MultiBar } from "cli-progress";
import type { SingleBar } from "cli-progress";
import { LETTERS } from "./fill-area.ts";
import type { FillOptions, FillView, FillWatcher } from "./fill-crew.ts";
import { colours, print } from "./output.ts";
import { formatSize } from "./sizes.ts";

const INTERVAL_MS = 60;
const MAP_LENGTH = 64;

export interface Screen extends FillWatcher {
  /** Gives the terminal back, however the fill ended. */
  readonly close: () => void;
}

const palette = [
  colours.red,
  colours.green,
  colours.yellow,
  colours.blue,
  colours.magenta,
  colours.cyan,
  colours.white,
  colours.gray,
];

/** Neighbouring letters of one kind in one colour. */
export function paint(map: string): string {
  return map.replace(/(.)\1*/g, (run: string) => {
    const number = LETTERS.indexOf(run[0]!);
    return number < 0 ? colours.dim(run) : palette[number % palette.length]!(run);
  });
}

/** The letters of a process's participants: "A", or "A-C" with two workers. */
export function lettersOf(process: number, threads: number): string {
  const first = process * (1 + threads);
  return threads === 0 ? LETTERS[first]! : `${LETTERS[first]!}-${LETTERS[first + threads]!}`;
}

function describeGrowth({
  sizeBytes,
  participant,
  microseconds,
}: ReturnType<FillView["growths"]>[number]): string {
  const after = (microseconds / 1000).toFixed(1);
  return `segment grew to ${formatSize(sizeBytes)} after ${after} ms; ${LETTERS[participant]!} was the first to use it`;
}

function plainScreen(options: FillOptions): Screen {
  let view: FillView | undefined;
  let shown = 0;
  const tick = (): void => {
    const growths = view?.growths() ?? [];
    for (const growth of growths.slice(shown)) print(describeGrowth(growth));
    shown = growths.length;
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    onStart(started) {
      view = started;
      const many = options.processes * (1 + options.threads);
      print(
        `${many} participants have attached to ${started.name} (${formatSize(started.segmentSizeBytes())}); go`,
      );
      timer = setInterval(tick, INTERVAL_MS);
    },
    onKill(number, pid) {
      print(`SIGKILL to process ${number} (${lettersOf(number, options.threads)}, pid ${pid})`);
    },
    onProcessDone(number, outcome) {
      tick();
      const bytes = view?.written()[number] ?? 0;
      const how = outcome === "" ? "is done" : `ended: ${outcome}`;
      print(
        `process ${number} (${lettersOf(number, options.threads)}) ${how}, ${bytes.toLocaleString("en")} bytes`,
      );
    },
    onEnd: tick,
    close: () => clearInterval(timer),
  };
}

function terminalScreen(options: FillOptions): Screen {
  const bars: SingleBar[] = [];
  const share = Math.ceil(options.sizeBytes / options.processes);
  const multi = new MultiBar({
    format: "{letters} [{bar}] {bytes} bytes {state}",
    stream: process.stdout,
    barsize: 40,
    barCompleteChar: "=",
    barIncompleteChar: " ",
    hideCursor: true,
    gracefulExit: false,
    linewrap: null,
    fps: 1000 / INTERVAL_MS,
  });
  const states = Array.from({ length: options.processes }, () => "");
  let footer: SingleBar | undefined;
  let view: FillView | undefined;
  const tick = (): void => {
    if (view === undefined) return;
    const written = view.written();
    bars.forEach((bar, number) => {
      const bytes = written[number]!;
      // The shares are not fixed: who is faster takes more.
      if (bytes > bar.getTotal()) bar.setTotal(bytes);
      bar.update(bytes, { bytes: bytes.toLocaleString("en").padStart(11), state: states[number]! });
    });
    footer?.update(0, { size: formatSize(view.segmentSizeBytes()), map: paint(view.map(MAP_LENGTH)) });
    multi.update();
  };
  let timer: NodeJS.Timeout | undefined;
  return {
    onStart(started) {
      view = started;
      for (let number = 0; number < options.processes; number++) {
        const letters = lettersOf(number, options.threads).padEnd(3);
        bars.push(multi.create(share, 0, { letters, bytes: "", state: "" }));
      }
      const format = "    {map} segment {size}";
      footer = multi.create(1, 0, { size: "", map: "" }, { format });
      timer = setInterval(tick, INTERVAL_MS);
    },
    onKill(number) {
      states[number] = colours.red("SIGKILL");
    },
    onProcessDone(number, outcome) {
      states[number] = outcome === "" ? colours.green("done") : colours.red(outcome);
    },
    onEnd: tick,
    close() {
      clearInterval(timer);
      multi.stop();
    },
  };
}

export function makeScreen(options: FillOptions): Screen {
  return process.stdout.isTTY ? terminalScreen(options) : plainScreen(options);
}
