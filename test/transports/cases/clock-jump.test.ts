import assert from "node:assert/strict";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { AGREEMENT } from "../../../src/lib/steady-clock.js";
import { eventually } from "../../support/eventually.js";
import { MINUTE, SECOND, startServer } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

const HOUR = 60 * MINUTE;
const app = "shop";

/** Lines of the log about the clock. */
const clockLines = (log: readonly string[]) => log.filter((line) => line.includes("clock"));

test("a wall clock 3 h ahead for 5 s ends no session, and is logged in one line", async () => {
  const server = await startServer("sqlite", "warn");
  const wire = openWire("gRPC", server);
  const db = new Sqlite(server.path, { readonly: true });
  const count = db.prepare<[], number>("SELECT count(*) FROM sessions").pluck();
  try {
    const client = wire.client(SessionService);
    const creations = Array.from({ length: 300 }, () =>
      client.createSession({ app, userId: "ann" }),
    );
    const tokens = (await Promise.all(creations)).map(({ token }) => token);
    const [token = assert.fail(), rotated = assert.fail()] = tokens;
    const body = { app, userId: "bob", requestId: "request-of-bob-1" };
    const first = await client.createSession(body);
    const { token: fresh } = await client.rotateToken({ app, token: rotated });

    server.clock.jump(3 * HOUR + 24 * HOUR);
    // The sweeper has looked at the clock.
    await eventually("a line", () => clockLines(server.log).length === 1);
    server.clock.advance(5 * SECOND);
    const { session } = await client.getSession({ app, token });
    const readAt = Number(session?.lastAccessedAt?.seconds) * 1_000;
    assert.equal(readAt, server.clock.now() - 27 * HOUR);
    // A token in its grace is no theft, and a kept answer is given again.
    await client.getSession({ app, token: rotated });
    assert.equal((await client.createSession(body)).token, first.token);
    assert.equal(count.get(), 301);

    server.clock.jump(-27 * HOUR);
    for (const one of tokens) await client.getSession({ app, token: one, peek: true });
    await client.getSession({ app, token: fresh });
    assert.equal(count.get(), 301);
    assert.equal(clockLines(server.log).length, 1);

    // When the clocks have agreed for long enough, what expired is removed again.
    server.clock.advance(Math.max(AGREEMENT, 3 * HOUR));
    await eventually("their removal", () => count.get() === 0);
  } finally {
    db.close();
    wire.close();
    await server.close();
  }
});
