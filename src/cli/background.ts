import { spawnSync } from "node:child_process";
import { constants, setPriority } from "node:os";

/** Lets a server go first where both want the processor, and paces what the main thread does. */
export function workInBackground() {
  setPriority(constants.priority.PRIORITY_LOW);
  return {
    /** Monotonic milliseconds. */
    clock: () => performance.now(),

    /** Holds the thread so many milliseconds. */
    rest(milliseconds: number): void {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    },

    /**
     * From here on lets whatever else wakes have the processor, for work that cannot rest: the
     * policy SCHED_IDLE of sched(7). Node has no call for it. Where there is no `chrt` either,
     * which is of util-linux, the lowest priority has to do.
     */
    giveWay(): void {
      spawnSync("chrt", ["-i", "-p", "0", `${process.pid}`], { stdio: "ignore" });
    },
  };
}
