import { type Logger, pino } from "pino";

/** The process's log: JSON lines on standard output, readable ones if that is a terminal. */
export async function createLog(level: string): Promise<Logger> {
  if (!process.stdout.isTTY) {
    return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  }
  // Loaded only where it is used: a start waits for it.
  const { default: pretty } = await import("pino-pretty");
  return pino({ level }, pretty({ sync: true, ignore: "pid,hostname" }));
}
