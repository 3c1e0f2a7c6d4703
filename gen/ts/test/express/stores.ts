import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";
import { type Scope, startProgram } from "../../../../test/support/process/program.js";
import { makeFolder, startServer } from "../../../../test/support/process/server.js";
import { without } from "../../../../test/support/process/tools.js";
import { LatchkeyStore } from "../../src/express-session.js";
import { createLatchkey, type Latchkey } from "../../src/index.js";

export const STORE_NAMES = ["LatchkeyStore", "connect-redis", "MemoryStore"] as const;
export type StoreName = (typeof STORE_NAMES)[number];

/** What express-session documents of a store, `all`, `length` and `clear` too. */
export type WholeStore = session.Store &
  Required<Pick<session.Store, "all" | "length" | "clear" | "touch">>;

/** The same sessions, none at first, as two processes of an app have them. */
export interface Stores {
  readonly store: WholeStore;
  readonly twin: WholeStore;
}

export interface Backend {
  /** Why it cannot run here. */
  readonly skip: string | false;
  /** Starts what the store needs, which ends with the scope. */
  start(t: Scope): Promise<() => Stores>;
}

export const BACKENDS: Readonly<Record<StoreName, Backend>> = {
  LatchkeyStore: {
    skip: false,
    async start(t) {
      // On disk, where writes take their time: what overtakes them is seen.
      const database = join(await makeFolder(t), "latchkey.db");
      const server = await startServer(t, { LATCHKEY_STORE: `sqlite:${database}` });
      const one = createLatchkey({ address: server.grpc });
      const other = createLatchkey({ address: server.grpc });
      t.after(() => one.close());
      t.after(() => other.close());
      return () => {
        const app = `u-${randomUUID().slice(0, 8)}`;
        const open = (latchkey: Latchkey) => new LatchkeyStore({ latchkey, app });
        return { store: open(one), twin: open(other) };
      };
    },
  },

  "connect-redis": {
    skip: without("redis-server"),
    async start(t) {
      const folder = await makeFolder(t);
      const path = join(folder, "redis.sock");
      const one = createClient({ socket: { path, tls: false } });
      const other = one.duplicate();
      // Before the program's own end, which the clients would take for a fault.
      t.after(() => one.close());
      t.after(() => other.close());
      const program = startProgram(t, {
        argv: ["redis-server", "--port", "0", "--unixsocket", path, "--save", ""],
        cwd: folder,
        env: {},
      });
      await program.waitFor(
        () => program.output.stdout.includes("ready to accept connections") || undefined,
      );
      await one.connect();
      await other.connect();
      return () => {
        const prefix = `${randomUUID()}:`;
        const open = (client: typeof one) => new RedisStore({ client, prefix });
        return { store: open(one), twin: open(other) };
      };
    },
  },

  MemoryStore: {
    skip: false,
    start: async () => () => {
      const store = new session.MemoryStore() as WholeStore;
      return { store, twin: store };
    },
  },
};
