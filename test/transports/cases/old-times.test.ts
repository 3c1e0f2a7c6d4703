import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { TimestampSchema, timestampMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { AGREEMENT } from "../../../src/lib/steady-clock.js";
import { toTimestamp } from "../../../src/transports/rpc/messages.js";
import { NOW, STORES, withServer } from "../../support/transports/server.js";
import { openWire, WIRES } from "../../support/transports/wires.js";

test("any instant, also before 1970, is a timestamp that JSON has", () => {
  const instants = fc.integer({ min: Date.UTC(1, 0, 2), max: Date.UTC(9998, 0, 1) });
  fc.assert(
    fc.property(instants, (instant) => {
      const message = create(TimestampSchema, toTimestamp(instant));
      assert.equal(timestampMs(message), instant);
      assert.ok(message.nanos >= 0 && message.nanos < 1_000_000_000);
      assert.deepEqual(fromJson(TimestampSchema, toJson(TimestampSchema, message)), message);
    }),
  );
});

for (const store of STORES) {
  test(`a server whose clock stands before 1970 answers every call (${store})`, () =>
    withServer(store, async (server) => {
      // Not on a whole second.
      server.clock.jump(-NOW - 1_234_567);
      const asking = openWire("gRPC", server);
      const activeWithin = { seconds: 60n };
      const ask = () =>
        asking.client(SessionService).countActiveUsers({ app: "shop", activeWithin });
      await ask();
      server.clock.advance(AGREEMENT);
      await ask();
      asking.close();
      for (const name of WIRES) {
        const wire = openWire(name, server);
        const client = wire.client(SessionService);
        const app = "shop";
        const absoluteTtl = { seconds: 3_600n };
        const { token, session } = await client.createSession({ app, userId: "ann", absoluteTtl });
        const createdAt = session?.createdAt && timestampMs(session.createdAt);
        assert.ok(createdAt !== undefined && createdAt < 0, `${createdAt}`);
        await client.getSession({ app, token });
        await client.updateSession({ app, token, data: { a: 1 } });
        await client.extendSession({ app, token, absoluteTtl });
        const { token: next } = await client.rotateToken({ app, token });
        await client.listSessions({ app, activeWithin: { seconds: 60n } });
        await client.countActiveUsers({ app, activeWithin: { seconds: 60n } });
        await client.deleteSession({ app, target: { case: "token", value: next } });
        wire.close();
      }
      const created = await fetch(`http://${server.http}/shop/create/ann?ip=192.0.2.1`, {
        method: "PUT",
      });
      assert.equal(created.status, 200);
      const { token } = (await created.json()) as { token: string };
      assert.equal((await fetch(`http://${server.http}/shop/get/${token}`)).status, 200);
      assert.equal((await fetch(`http://${server.http}/shop/soapp?dt=60`)).status, 200);
      assert.equal((await fetch(`http://${server.http}/session`)).status, 401);
    }));
}
