import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import type { Config } from "../config/config.js";
import { describeFault, LatchkeyError } from "../domain/error.js";
import type { Listener } from "../transports/net/listener.js";
import { readTls, type Tls, watchTls } from "../transports/net/tls.js";

/** Milliseconds that accepted calls may take to finish at a stop. */
const GRACE = 10_000;

export type ListenerName = "grpc" | "http" | "command";

export interface Listeners {
  /** The TLS files as they are now; null without TLS. */
  readonly tls: Tls | null;
  /** Opens a listener; none if the address is null. Rejects, naming the setting, if it cannot. */
  open(
    name: ListenerName,
    address: string | null,
    listen: (address: string) => Promise<Listener>,
  ): Promise<void>;
  /** Where those that are on listen. */
  addresses(): { readonly [name in ListenerName]?: string };
  /** Reads the TLS files again, for connections to come. */
  reloadTls(): void;
  /** Says that the server stops, and goes on as before for so many milliseconds. */
  drain(milliseconds: number): Promise<void>;
  /** Lets accepted calls finish, and closes all. */
  close(): Promise<void>;
}

/** Creates the set of listeners, which share TLS files. Throws if those cannot be read. */
export function createListeners(config: Pick<Config, "tls">, logger: Logger): Listeners {
  const listeners = new Map<ListenerName, Listener>();
  const tls = config.tls && readTls(config.tls);
  const reloadTls = () => {
    if (!config.tls) return;
    try {
      const changed = readTls(config.tls);
      for (const listener of listeners.values()) listener.reloadTls(changed);
      logger.info("TLS files read again");
    } catch (err) {
      logger.error({ err }, "TLS files not taken: the ones read before stay in use");
    }
  };
  const unwatchTls = config.tls ? watchTls(config.tls, reloadTls) : () => {};
  return {
    tls,
    async open(name, address, listen) {
      if (address === null) return;
      try {
        listeners.set(name, await listen(address));
      } catch (cause) {
        const message = `LATCHKEY_${name.toUpperCase()} cannot listen on ${address}: ${describeFault(cause)}`;
        throw new LatchkeyError("unavailable", message, { cause });
      }
    },
    addresses: () =>
      Object.fromEntries([...listeners].map(([name, { address }]) => [name, address])),
    reloadTls,
    async drain(milliseconds) {
      for (const listener of listeners.values()) listener.drain();
      // The server is a whole one until balancers have turned away from it.
      if (milliseconds > 0) await pause(milliseconds);
      unwatchTls();
    },
    async close() {
      await Promise.all([...listeners.values()].map((listener) => listener.close(GRACE)));
    },
  };
}
