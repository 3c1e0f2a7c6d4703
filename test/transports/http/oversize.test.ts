import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { assertRefused } from "../../support/transports/case.js";
import { withServer } from "../../support/transports/server.js";
import { openWire, WIRES } from "../../support/transports/wires.js";

const MIB = 1024 * 1024;
const REFUSED = { code: Code.ResourceExhausted };
const request = (bytes: number) => ({
  app: "shop",
  userId: "ann",
  data: { text: "x".repeat(bytes) },
});

for (const name of WIRES) {
  test(`${name}: a connection serves on after a request over 1 MiB`, async () => {
    await withServer("memory", async (server) => {
      const wire = openWire(name, server);
      try {
        const client = wire.client(SessionService);
        await assertRefused(client.createSession(request(3 * MIB)), REFUSED);
        const next = await client.createSession(request(1), { timeoutMs: 5_000 });
        assert.equal(next.session?.userId, "ann");
      } finally {
        wire.close();
      }
    });
  });

  test(`${name}: a compressed request counts by what it unpacks to`, async () => {
    await withServer("memory", async (server) => {
      const wire = openWire(name, server, true);
      try {
        const client = wire.client(SessionService);
        const bomb = client.createSession(request(8 * MIB));
        await assertRefused(bomb, REFUSED);
        const { session } = await client.createSession(request(50_000));
        assert.equal(Object.keys(session?.data ?? {}).length, 1);
      } finally {
        wire.close();
      }
    });
  });
}
