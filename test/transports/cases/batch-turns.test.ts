import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { withServer } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

/** Ten such sessions fill the answer to a batch. */
const data = { numbers: Array.from({ length: 29_000 }, () => 1) };
const CALLS = 16;

/** The largest of each that reads many sessions; answers how many it read. */
const LARGEST = {
  async batches(client: Client<typeof SessionService>, token: string) {
    const tokens = Array.from({ length: 12 }, () => token);
    const { results } = await client.batchGetSessions({ app: "shop", tokens, peek: true });
    return results.filter(({ result }) => result.case === "session").length;
  },
  async lists(client: Client<typeof SessionService>) {
    return (await client.listSessions({ app: "shop", pageSize: 1_000 })).sessions.length;
  },
};

for (const [name, what] of [
  ["gRPC", "batches"],
  ["Connect JSON", "batches"],
  ["gRPC", "lists"],
] as const) {
  test(`over ${name} gets are answered while ${CALLS} of the largest ${what} are read`, () =>
    withServer("memory", async (server) => {
      const own = openWire(name, server);
      const other = openWire("gRPC", server);
      try {
        const client = own.client(SessionService);
        const create = (of: typeof data | object) =>
          client.createSession({ app: "shop", userId: "ann", data: { ...of } });
        const { token: small } = await create({});
        let token = "";
        for (let n = 0; n < 12; n++) ({ token } = await create(data));
        const gets = other.client(SessionService);
        await gets.getSession({ app: "shop", token: small });
        let done = 0;
        const calls = Array.from({ length: CALLS }, async () => {
          assert.ok((await LARGEST[what](client, token)) >= 9);
          done++;
        });
        // All are taken up when the first is answered.
        await Promise.race(calls);
        for (let get = 0; get < 3; get++) await gets.getSession({ app: "shop", token: small });
        assert.ok(done < CALLS / 2, `${done} were answered first`);
        await Promise.all(calls);
      } finally {
        own.close();
        other.close();
      }
    }));
}
