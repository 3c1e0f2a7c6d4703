import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { DEFAULT_QUOTAS, type Quotas } from "../../../src/domain/sessions/quotas.js";
import { STORES, type TestServer, withServer } from "../../support/transports/server.js";
import { withWires } from "../../support/transports/wires.js";

const quotas: Quotas = {
  ...DEFAULT_QUOTAS,
  ofApp: { sessions: 2, dataBytes: 100, answerBytes: 1 },
};

/** For `assert.rejects`: RESOURCE_EXHAUSTED, in a message that names all of these. */
const isLimit =
  (...names: string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.code, Code.ResourceExhausted);
    for (const name of names) assert.ok(error.message.includes(name), error.message);
    return true;
  };

const withQuotas = (store: (typeof STORES)[number], body: (server: TestServer) => Promise<void>) =>
  withServer(store, body, { quotas });

for (const store of STORES) {
  test(`what would exceed an app's quota is refused on every wire, and says why (${store})`, () =>
    withQuotas(store, (server) =>
      withWires(server, async (wires) => {
        for (const [at, wire] of wires.entries()) {
          const client = wire.client(SessionService);
          const app = `app-${at}`;
          const create = (text: string, requestId = "") =>
            client.createSession({ app, userId: "ann", data: { text }, requestId });
          const { token } = await create("x", "0123456789abcdef");
          await assert.rejects(
            create("x", "0123456789abcdeg"),
            isLimit(app, "LATCHKEY_APP_ANSWERS_MIB"),
          );
          assert.equal((await create("x", "0123456789abcdef")).token, token);
          await assert.rejects(create("x".repeat(80)), isLimit(app, "LATCHKEY_APP_DATA_MIB"));
          await create("x");
          await assert.rejects(create("x"), isLimit(app, "LATCHKEY_APP_SESSIONS"));
          await client.deleteSession({ app, target: { case: "token", value: token } });
          await create("x");
        }
      }),
    ));
}

test("the reproduced API answers 429 where an app's quota is full", () =>
  withQuotas("memory", async ({ http }) => {
    const create = () => fetch(`http://${http}/shop/create/ann?ip=192.0.2.1`, { method: "PUT" });
    assert.deepEqual([(await create()).status, (await create()).status], [200, 200]);
    const refused = await create();
    assert.equal(refused.status, 429);
    assert.match(await refused.text(), /LATCHKEY_APP_SESSIONS/);
    assert.equal((await fetch(`http://${http}/shop/killall`, { method: "DELETE" })).status, 200);
    assert.equal((await create()).status, 200);
  }));
