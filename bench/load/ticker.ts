import { Worker } from "node:worker_threads";

/** Runs in a thread: timers of the event loop know milliseconds only, and waiting knows less. */
const THREAD = `
const { parentPort, workerData: { interval, awaited } } = require("node:worker_threads");
const never = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  Atomics.wait(never, 0, 0, interval);
  if (Atomics.exchange(awaited, 0, 0) === 1) parentPort.postMessage(0);
}`;

/**
 * Calls `tick` so often (ms), also in fractions of a millisecond, without keeping a processor
 * busy. A tick that is late is not made up for.
 */
export function startTicker(interval: number, tick: () => void) {
  const awaited = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(THREAD, { eval: true, workerData: { interval, awaited } });
  worker.on("message", () => {
    tick();
    Atomics.store(awaited, 0, 1);
  });
  worker.once("online", () => Atomics.store(awaited, 0, 1));
  return { stop: () => worker.terminate() };
}
