import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  SessionService,
  UpdateSessionRequestSchema,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { openRawWire } from "../../support/transports/raw.js";
import { withRest } from "../../support/transports/rest-trial.js";
import { STORES, withServer } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

const COUNT = 1_000;
const indexes = Array.from({ length: COUNT }, (_, index) => index);
const whole = Object.fromEntries(indexes.map((index) => [`key${index}`, index]));

for (const store of STORES) {
  test(`of a thousand set calls at once on one session none is lost (${store})`, () =>
    withRest(store, async ({ text, create: add }) => {
      const token = await add("ann?ip=::1");
      const answers = await Promise.all(
        indexes.map((index) => text("POST", `/shop/set/${token}`, { [`key${index}`]: index })),
      );
      const writes = answers.map((answer) => (JSON.parse(answer) as { w: number }).w);
      assert.equal(new Set(writes).size, COUNT, "two calls were answered with one count");
      const session = JSON.parse(await text("GET", `/shop/get/${token}`));
      assert.deepEqual(session.d, whole);
      assert.equal(session.w, COUNT + 1);
      assert.equal(session.r, 1);
    }));

  test(`of a thousand updates at once on one session none is lost (${store})`, () =>
    withServer(store, async (server) => {
      const wire = openWire("gRPC", server);
      // A thousand answers of up to a thousand keys are left undecoded: to do it
      // would take most of the test's time.
      const raw = openRawWire("gRPC", server);
      try {
        const client = wire.client(SessionService);
        const { token } = await client.createSession({ app: "shop", userId: "ann" });
        await Promise.all(
          indexes.map((index) => {
            const request = { app: "shop", token, data: { [`key${index}`]: index } };
            const message = create(UpdateSessionRequestSchema, request);
            return raw.send("UpdateSession", toBinary(UpdateSessionRequestSchema, message));
          }),
        );
        const { session } = await client.getSession({ app: "shop", token, peek: true });
        assert.deepEqual(session?.data, whole);
        assert.equal(session?.writes, BigInt(COUNT + 1));
        assert.equal(session?.version, BigInt(COUNT + 1));
        assert.equal(session?.reads, 1n);
      } finally {
        wire.close();
        raw.close();
      }
    }));

  test(`of a thousand reads at once every one is counted (${store})`, () =>
    withRest(store, async ({ text, create: add }) => {
      const token = await add("ann?ip=::1");
      await Promise.all(indexes.map(() => text("GET", `/shop/get/${token}`)));
      const session = JSON.parse(await text("GET", `/shop/get/${token}`));
      assert.equal(session.r, COUNT + 1);
    }));

  test(`sessions created and ended at once are counted right (${store})`, () =>
    withRest(store, async ({ text, create: add }) => {
      const kept = await Promise.all(
        indexes.slice(0, 400).map(async (index) => {
          const token = await add(`user${index % 40}?ip=::1`);
          if (index % 2) assert.equal(await text("DELETE", `/shop/kill/${token}`), '{"kill":1}');
          return index % 2 ? [] : [token];
        }),
      );
      assert.equal(kept.flat().length, 200);
      assert.equal(await text("GET", "/shop/activity?dt=60"), '{"activity":20}');
      assert.equal(await text("DELETE", "/shop/killall"), '{"kill":200}');
    }));
}
