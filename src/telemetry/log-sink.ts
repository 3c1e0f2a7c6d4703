import { fstatSync, write, writeSync } from "node:fs";

/** Characters that wait for a reader that stalls; lines beyond them are lost, and counted. */
const MAX_HELD = 2 ** 20;

/** Where lines go. */
export interface Outlet {
  /** Writes `text`, then calls `done`, which gets an error if it could not be written. */
  write(text: string, done: (error?: Error | null) => void): void;
  /** Writes what it can of `text` before it returns, for a process that ends. May throw. */
  writeNow(text: string): void;
}

export interface LogSink {
  /** Takes a line. Never waits and never throws, whatever the reader does. */
  write(line: string): void;
  /** Settles when every line is written or given up. A reader that stalls holds it up. */
  flush(): Promise<void>;
  /** Writes what it can of the lines that wait, for a process that ends. Never waits. */
  end(): void;
  /** Lines that were lost since the start. */
  lost(): number;
}

/**
 * Holds a bounded number of lines for a reader that is slow. A text that cannot be written is
 * given up: pino's own destination would try again for ever, and keep the process from ending.
 */
export function createLogSink(outlet: Outlet, maxHeld = MAX_HELD): LogSink {
  let held = "";
  /** Of these no line has told yet. */
  let lost = 0;
  let allLost = 0;
  let isWriting = false;
  let flushed: (() => void)[] = [];

  const settle = () => {
    const settled = flushed;
    flushed = [];
    for (const resolve of settled) resolve();
  };

  const lose = (lines: number) => {
    lost += lines;
    allLost += lines;
  };

  const writeHeld = () => {
    if (lost > 0) {
      const msg = "log lines were lost: what reads them stalled, or could not be written to";
      const time = new Date().toISOString();
      held += `${JSON.stringify({ level: 40, time, lost, msg })}\n`;
      lost = 0;
    }
    const text = held;
    held = "";
    isWriting = true;
    outlet.write(text, (error) => {
      isWriting = false;
      if (error) lose(text.split("\n").length - 1);
      // After an error the next line tries again, so that a full disk is not the log's end.
      if (held === "" && (lost === 0 || error)) settle();
      else writeHeld();
    });
  };

  return {
    write(line) {
      if (held.length + line.length > maxHeld) lose(1);
      else held += line;
      if (!isWriting) writeHeld();
    },
    flush: () =>
      new Promise((resolve) => {
        flushed.push(resolve);
        if (!isWriting) settle();
      }),
    end() {
      if (held === "") return;
      try {
        outlet.writeNow(held);
      } catch {
        // The reader stalls or is gone, and the process ends.
      }
      held = "";
    },
    lost: () => allLost,
  };
}

/** The process's standard output. */
export function standardOutput(): Outlet {
  const { stdout } = process;
  // Pipes and sockets go through the stream, which waits for their readers in the event loop. A
  // write in Node's pool of threads would keep the process until its reader reads.
  const stat = fstatSync(stdout.fd);
  const isStream = stat.isFIFO() || stat.isSocket() || stdout.isTTY;
  if (isStream) {
    // What cannot be written is told of to `done`; without a listener it would end the process.
    stdout.on("error", () => {});
  }
  return {
    write: isStream
      ? (text, done) => void stdout.write(text, done)
      : (text, done) => writeAll(stdout.fd, Buffer.from(text), done),
    writeNow: (text) => void writeSync(stdout.fd, text),
  };
}

function writeAll(fd: number, bytes: Buffer, done: (error?: Error | null) => void): void {
  write(fd, bytes, (error, written) => {
    if (error || written === bytes.length) done(error);
    else writeAll(fd, bytes.subarray(written), done);
  });
}
