import type { Logger } from "pino";
import { LatchkeyError } from "../domain/error.js";
import type { LineLog } from "../lib/line-log.js";
import { createAccountIndex } from "../services/access/account-index.js";
import { createAuthentication } from "../services/access/authentication.js";
import { type Connections, createConnections } from "../services/access/connections.js";
import { createPasswords } from "../services/logins/passwords.js";
import { createThrottle } from "../services/logins/throttle.js";
import { openAccounts, type StoreLocation } from "../stores/index.js";
import { processActor } from "./process-actor.js";

export interface AccessOptions {
  readonly logger: Logger;
  /** Takes what is logged of attempts that failed. */
  readonly failureLog: Pick<LineLog, "warn">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
}

/** What knows who may call, and who is connected. */
export interface Access {
  readonly connections: Connections;
  close(): void;
}

/** The accounts of the store at `location`. Rejects with `invalid` if it keeps none. */
export async function openAccess(
  location: StoreLocation,
  { logger, failureLog, now, clock }: AccessOptions,
): Promise<Access> {
  const store = openAccounts(location, { actor: processActor(), now });
  if (!store) throw new LatchkeyError("invalid", "the store keeps no accounts");
  try {
    const accountIndex = await createAccountIndex({
      store,
      now,
      onChange: (changes) => {
        for (const change of changes) {
          logger.info({ ...change, at: new Date(change.at).toISOString() }, "account changed");
        }
        connections.review();
      },
      onError: (err) => logger.error({ err }, "accounts could not be read"),
    });
    const authentication = createAuthentication({
      accountIndex,
      store,
      passwords: createPasswords(),
      throttle: createThrottle({ clock }),
      now,
      logger: {
        info: (fields, msg) => logger.info(fields, msg),
        warn: failureLog.warn,
      },
    });
    const connections = createConnections({ authentication, now, logger: failureLog });
    return {
      connections,
      close() {
        accountIndex.stop();
        store.close();
      },
    };
  } catch (error) {
    store.close();
    throw error;
  }
}
