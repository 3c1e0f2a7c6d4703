import { fitLimits, readOpenFiles } from "../config/open-files.js";
import { createMetrics } from "../telemetry/metrics.js";
import { createStrangerLog } from "../telemetry/stranger-log.js";
import { createCalls } from "../transports/call/calls.js";
import { createUnreadAnswers } from "../transports/call/unread-answers.js";
import { startIdleTimer } from "../transports/net/idle-timer.js";
import { type Access, openAccess } from "./access.js";
import { startAdmission } from "./admission.js";
import { openClocks } from "./clocks.js";
import { createListeners, type Listeners } from "./listeners.js";
import type { StartOptions } from "./options.js";
import { openServices } from "./services.js";
import { openTransports } from "./transports.js";

/** Milliseconds between looks for sums of left out lines that are due. */
const LOG_FLUSH_INTERVAL = 1_000;

export interface Server {
  /** Where the listeners that are on listen. */
  readonly addresses: ReturnType<Listeners["addresses"]>;
  /** Reads the TLS files again, for connections to come. */
  reloadTls(): void;
  /** Stops: says so, lets accepted calls finish, closes the store. May be called again. */
  close(): Promise<void>;
}

/** Starts a server; rejects, with nothing left running, if any part of it cannot start. */
export async function start(options: StartOptions): Promise<Server> {
  disarmProto();
  const { config, logger } = options;
  const clocks = openClocks(options, logger);
  const { clock } = clocks;
  const limits = fitLimits(config, options.openFiles ?? readOpenFiles());
  for (const warning of config.warnings) logger.warn(warning);
  if (limits.warning !== null) logger.warn(limits.warning);

  const metrics = createMetrics();
  if (options.lostLines) metrics.watchLog(options.lostLines);
  const services = openServices(options, clocks, metrics);
  const { watches } = services;
  const { callObserver, watchObserver } = metrics;
  const calls = createCalls({ observer: callObserver, logger, clock });
  const gate = startAdmission(config, callObserver, clock, options.loadGate);
  const strangerLog = createStrangerLog({ logger, clock, onLeftOut: metrics.logObserver.leftOut });
  const flushing = setInterval(strangerLog.flush, LOG_FLUSH_INTERVAL).unref();
  const idleTimers = options.startIdleTimer ?? startIdleTimer;
  const unread = createUnreadAnswers({ startIdleTimer: idleTimers, onCut: watchObserver.cut });
  metrics.watchWatches({ open: watches.open, caughtUp: watches.count, unreadBytes: unread.held });

  let access: Access | null = null;
  let listeners: Listeners | null = null;
  const stop = async (drain: number) => {
    await listeners?.drain(drain);
    services.stop();
    gate.stop();
    clearInterval(flushing);
    watches.close();
    await listeners?.close();
    strangerLog.flush(true);
    access?.close();
    await services.close();
  };
  try {
    if (config.auth === "required") {
      access = await openAccess(config.store, {
        logger,
        failureLog: strangerLog,
        now: clocks.wallClock,
        clock,
      });
    }
    listeners = createListeners(config, logger);
    await openTransports(listeners, {
      ...{ options, clocks, limits, metrics, services, calls, gate, strangerLog, unread },
      connections: access?.connections ?? null,
      startIdleTimer: idleTimers,
    });
  } catch (error) {
    await stop(0);
    throw error;
  }
  const addresses = listeners.addresses();
  for (const [listener, address] of Object.entries(addresses)) {
    logger.info({ listener, address }, `${listener} listens on ${address}`);
  }

  let stopping: Promise<void> | undefined;
  return {
    addresses,
    reloadTls: listeners.reloadTls,
    close() {
      stopping ??= stop(config.drain * 1_000);
      return stopping;
    },
  };
}

/**
 * Makes `__proto__` an ordinary key in this process, as Node's own
 * --disable-proto=delete does: sessions may have data of that name, which the
 * protobuf runtime would otherwise lose, and no key can reach a prototype.
 */
function disarmProto(): void {
  Reflect.deleteProperty(Object.prototype, "__proto__");
}
