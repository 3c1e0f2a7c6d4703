/** A timer that runs out unless it is restarted in time. */
export interface IdleTimer {
  restart(): void;
  stop(): void;
}

/** Starts a timer that calls `work` when so many milliseconds have passed since its last start. */
export type StartIdleTimer = (milliseconds: number, work: () => void) => IdleTimer;

export const startIdleTimer: StartIdleTimer = (milliseconds, work) => {
  const timer = setTimeout(work, milliseconds).unref();
  return {
    restart: () => {
      timer.refresh();
    },
    stop: () => clearTimeout(timer),
  };
};
