import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { eventually } from "../../support/eventually.js";
import { peakOf, skipMemory } from "../../support/memory.js";
import { makeFolder, startServer } from "../../support/process/server.js";
import { openRest } from "../../support/transports/rest.js";
import { openWatcher } from "../../support/transports/watcher.js";
import { openWire } from "../../support/transports/wires.js";
import { openStalledWatches } from "./stalled-watches.js";

const WATCHES = 750;
/** 58 kB of JSON, and six times as much as a message. */
const data = { numbers: Array.from({ length: 29_000 }, () => 1) };
/**
 * By how much (MiB) the server may grow. It holds 8 MiB of what an account does not read; the
 * collector lets more come together before it looks for what nobody holds. Unbounded they were 1,400.
 */
const MOST = 160;
/** Real milliseconds within which the others' answers give way, many times over. */
const PATIENCE = 60_000;

test(`${WATCHES} watches that read nothing cost at most ${MOST} MiB, and one that reads goes on`, {
  skip: skipMemory,
}, async (t) => {
  const folder = await makeFolder(t);
  const server = await startServer(t, {
    LATCHKEY_STORE: `sqlite:${join(folder, "latchkey.db")}`,
  });
  const wire = openWire("gRPC", server);
  const rest = openRest(server.http);
  const metric = async (name: string) => {
    const { text } = await rest.call("GET", "/metrics");
    return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
  };
  const client = wire.client(SessionService);
  for (let n = 0; n < 20; n++) await client.createSession({ app: "shop", userId: `${n}`, data });
  await client.createSession({ app: "other", userId: "ann" });
  const before = peakOf(server);
  const stalled = await openStalledWatches(server.grpc, "shop", WATCHES);
  try {
    // As much waits as may, before one comes that reads.
    await eventually(
      "unread answers",
      async () => (await metric("latchkey_watch_unread_bytes")) > 7 * 2 ** 20,
      PATIENCE,
    );
    const good = openWatcher(wire, { app: "other" });
    await eventually("the others", () => good.kinds().includes("progress"), PATIENCE);
    await client.createSession({ app: "other", userId: "ann" });
    await eventually("the event", () => good.events().length === 1, PATIENCE);
    good.cut();
    assert.ok((await metric("latchkey_watch_unread_bytes")) <= 8 * 2 ** 20);
    const growth = peakOf(server) - before;
    assert.ok(growth < MOST, `it grew by ${growth.toFixed()} MiB`);
  } finally {
    stalled.close();
    rest.close();
    wire.close();
  }
});
