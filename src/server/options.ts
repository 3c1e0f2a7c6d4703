import type { Logger } from "pino";
import type { Config } from "../config/config.js";
import type { KeyExchange } from "../domain/rke/key-exchange.js";
import type { LoadGate } from "../transports/call/load-gate.js";
import type { StartIdleTimer } from "../transports/net/idle-timer.js";

export interface StartOptions {
  readonly config: Config;
  readonly logger: Logger;
  readonly version: string;
  /** The wall clock, if not the system's: milliseconds since 1970. */
  readonly now?: () => number;
  /** The monotonic clock that tells when the wall clock jumps; if a wall clock is given, that. */
  readonly monotonic?: () => number;
  /** Makes RKE keys, if not exchanges over the network. */
  readonly keyExchange?: KeyExchange;
  /** Ends streams in which nothing moves, if not the system's timers. */
  readonly startIdleTimer?: StartIdleTimer;
  /** Decides which calls are taken up, if not the load. */
  readonly loadGate?: LoadGate;
  /** How many files the process may have open, if not what the system says. */
  readonly openFiles?: number;
  /** How many lines of the log were lost to its reader, if it can lose any. */
  readonly lostLines?: () => number;
  /** Called once if the server can't go on, to be closed and restarted. */
  readonly onFatal: (error: unknown) => void;
}
