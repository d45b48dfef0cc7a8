/** The standard input and output of a child process, which Node connects with a pair of sockets. */

import type { ChildProcess } from "node:child_process";
import type { Contender, DriverLink } from "../contender.ts";
import { listenTo, receiveFrames, streamOneWay, streamRoundTrips } from "./sockets.ts";

function pipesOf({ partner }: DriverLink) {
  const { stdin, stdout } = partner() as ChildProcess;
  if (stdin === null || stdout === null) throw new Error("B was started without pipes.");
  return { stdin, stdout };
}

export const pipe: Contender = {
  partner: "process",
  fork: { hasPipes: true },
  drive: (link) => ({
    roundTrips(task) {
      const { stdin, stdout } = pipesOf(link);
      return streamRoundTrips(stdout, stdin, task);
    },
    oneWay: (task) => streamOneWay(pipesOf(link).stdin, task),
    close: () => undefined,
  }),
  serve() {
    const listen = listenTo(process.stdin);
    return {
      echo: (task) => receiveFrames(listen, task, (chunk) => process.stdout.write(chunk)),
      drain: (task) => receiveFrames(listen, task),
      close: () => undefined,
    };
  },
};
