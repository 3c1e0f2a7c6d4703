import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";
import { type Scope, startProgram } from "../../../../test/process/program.js";
import { makeFolder, startServer } from "../../../../test/process/server.js";
import { without } from "../../../../test/process/tools.js";
import { LatchkeyStore } from "../../src/express-session.js";
import { createLatchkey } from "../../src/index.js";

export const STORE_NAMES = ["LatchkeyStore", "connect-redis", "MemoryStore"] as const;
export type StoreName = (typeof STORE_NAMES)[number];

/** What express-session documents of a store, `all`, `length` and `clear` too. */
export type WholeStore = session.Store &
  Required<Pick<session.Store, "all" | "length" | "clear" | "touch">>;

export interface Backend {
  /** Why it cannot run here. */
  readonly skip: string | false;
  /** Starts what the store needs, which ends with the scope; answers with a maker of stores with no sessions. */
  start(t: Scope): Promise<() => WholeStore>;
}

export const BACKENDS: Readonly<Record<StoreName, Backend>> = {
  LatchkeyStore: {
    skip: false,
    async start(t) {
      // On disk, where writes take their time: what overtakes them is seen.
      const database = join(await makeFolder(t), "latchkey.db");
      const server = await startServer(t, { LATCHKEY_STORE: `sqlite:${database}` });
      const latchkey = createLatchkey({ address: server.grpc });
      t.after(() => latchkey.close());
      return () => new LatchkeyStore({ latchkey, app: `u-${randomUUID().slice(0, 8)}` });
    },
  },

  "connect-redis": {
    skip: without("redis-server"),
    async start(t) {
      const folder = await makeFolder(t);
      const path = join(folder, "redis.sock");
      const client = createClient({ socket: { path, tls: false } });
      // Before the program's own end, which the client would take for a fault.
      t.after(() => client.close());
      const program = startProgram(t, {
        argv: ["redis-server", "--port", "0", "--unixsocket", path, "--save", ""],
        cwd: folder,
        env: {},
      });
      await program.waitFor(
        () => program.output.stdout.includes("ready to accept connections") || undefined,
      );
      await client.connect();
      return () => new RedisStore({ client, prefix: `${randomUUID()}:` });
    },
  },

  MemoryStore: {
    skip: false,
    start: async () => () => new session.MemoryStore() as WholeStore,
  },
};
