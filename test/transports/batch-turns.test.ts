import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { withServer } from "./server.js";
import { openWire } from "./wires.js";

/** Ten such sessions fill the answer to a batch. */
const data = { numbers: Array.from({ length: 29_000 }, () => 1) };
const BATCHES = 16;

for (const name of ["gRPC", "Connect JSON"] as const) {
  test(`over ${name} gets are answered while ${BATCHES} of the largest batches are read`, () =>
    withServer("memory", async (server) => {
      const own = openWire(name, server);
      const other = openWire("gRPC", server);
      try {
        const client = own.client(SessionService);
        const create = (of: typeof data | object) =>
          client.createSession({ app: "shop", userId: "ann", data: { ...of } });
        const { token: small } = await create({});
        const { token } = await create(data);
        const tokens = Array.from({ length: 12 }, () => token);
        const gets = other.client(SessionService);
        await gets.getSession({ app: "shop", token: small });
        let done = 0;
        const batches = Array.from({ length: BATCHES }, async () => {
          const { results } = await client.batchGetSessions({ app: "shop", tokens });
          assert.equal(results.length, tokens.length);
          assert.equal(results[0]?.result.case, "session");
          done++;
        });
        // All are taken up when the first is answered.
        await Promise.race(batches);
        for (let get = 0; get < 3; get++) await gets.getSession({ app: "shop", token: small });
        assert.ok(done < BATCHES / 2, `${done} were answered first`);
        await Promise.all(batches);
      } finally {
        own.close();
        other.close();
      }
    }));
}
