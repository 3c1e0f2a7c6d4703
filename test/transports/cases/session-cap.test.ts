import assert from "node:assert/strict";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { AtLimit } from "../../../gen/ts/latchkey/session/v1/app_policy_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { STORES, type TestServer, withServer } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

const CAP = 3;
const CREATES = 100;

/** What looks into the database file as it is now: the number of its sessions; null if there is none. */
function openFile({ path }: TestServer, store: string) {
  if (store !== "sqlite") return null;
  const db = new Sqlite(path, { readonly: true });
  const count = db.prepare<[], number>("SELECT count(*) FROM sessions").pluck();
  return { count: () => count.get() ?? 0, close: () => db.close() };
}

for (const store of STORES) {
  test(`100 creations at once never give a user a fourth session of three (${store})`, () =>
    withServer(store, async (server) => {
      const wires = Array.from({ length: 8 }, () => openWire("gRPC", server));
      const clients = wires.map((wire) => wire.client(SessionService));
      const [first = assert.fail(), watcher = assert.fail(), ...writers] = clients;
      const app = "shop";
      await first.setAppPolicy({
        app,
        policy: { maxSessionsPerUser: CAP, atLimit: AtLimit.EVICT_LEAST_RECENTLY_USED },
      });
      const file = openFile(server, store);
      const tokens: string[] = [];
      let left = CREATES;
      const creations = Array.from({ length: CREATES }, async (_, index) => {
        const client = writers[index % writers.length] ?? first;
        // In waves, so that creations, commits and looks come in between each other.
        for (let wave = 0; wave < index % 5; wave++) await client.getAppPolicy({ app });
        const { token } = await client.createSession({ app, userId: "ann" });
        tokens.push(token);
        left--;
        // What is used last is not what was created last.
        await client.getSession({ app, token: tokens[0] ?? token }).catch(() => undefined);
      });

      const instants = { listed: 0, inFile: 0, full: 0 };
      const watch = async (client: typeof first) => {
        while (left > 0) {
          const { sessions } = await client.listUserSessions({ app, userId: "ann" });
          assert.ok(sessions.length <= CAP, `${sessions.length} sessions were listed`);
          instants.listed++;
          if (sessions.length === CAP) instants.full++;
        }
      };
      const watchFile = async () => {
        while (file && left > 0) {
          assert.ok(file.count() <= CAP, "the file has more sessions than may be");
          instants.inFile++;
          await new Promise(setImmediate);
        }
      };
      try {
        await Promise.all([...creations, watch(first), watch(watcher), watchFile()]);
        assert.ok(instants.listed >= 10 && instants.full >= 1, JSON.stringify(instants));
        if (file) assert.ok(instants.inFile >= 10, JSON.stringify(instants));

        const living = await Promise.all(
          tokens.map((token) =>
            first.getSession({ app, token, peek: true }).then(
              () => true,
              () => false,
            ),
          ),
        );
        assert.equal(tokens.length, CREATES);
        assert.equal(living.filter(Boolean).length, CAP);
        if (file) assert.equal(file.count(), CAP);
      } finally {
        file?.close();
        for (const wire of wires) wire.close();
      }
    }));
}
