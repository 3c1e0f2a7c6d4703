import { type Logger, pino } from "pino";
import pretty from "pino-pretty";

/** The process's log: JSON lines on standard output, readable ones if that is a terminal. */
export function createLog(level: string): Logger {
  return process.stdout.isTTY
    ? pino({ level }, pretty({ sync: true, ignore: "pid,hostname" }))
    : pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
}
