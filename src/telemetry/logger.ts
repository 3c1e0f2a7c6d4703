import { Writable } from "node:stream";
import { type Logger, pino } from "pino";
import { createLogSink, standardOutput } from "./log-sink.js";

/** Milliseconds that a process which ends waits for the reader of its log. */
const FLUSH_TIME = 1_000;

export interface ProcessLog {
  readonly logger: Logger;
  /** Settles when every line is written, or after a second, whatever the reader does. */
  flush(): Promise<void>;
  /** Lines that were lost since the start, because their reader stalled or they could not be written. */
  lost(): number;
}

/** The process's log: JSON lines on standard output, readable ones if that is a terminal. */
export async function createLog(level: string): Promise<ProcessLog> {
  const sink = createLogSink(standardOutput());
  process.once("exit", sink.end);
  const flush = async () => {
    // Readable lines are made in turns of their own.
    await new Promise(setImmediate);
    await Promise.race([
      sink.flush(),
      new Promise<void>((resolve) => void setTimeout(resolve, FLUSH_TIME).unref()),
    ]);
  };
  if (!process.stdout.isTTY) {
    const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, sink);
    return { logger, flush, lost: sink.lost };
  }
  // Loaded only where it is used: a start waits for it.
  const { default: pretty } = await import("pino-pretty");
  const destination = new Writable({
    decodeStrings: false,
    write(line, _encoding, done) {
      sink.write(String(line));
      done();
    },
  });
  return {
    logger: pino({ level }, pretty({ destination, ignore: "pid,hostname" })),
    flush,
    lost: sink.lost,
  };
}
