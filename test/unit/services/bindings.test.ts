import assert from "node:assert/strict";
import { test } from "node:test";
import { Binding } from "../../../gen/ts/latchkey/session/v1/app_policy_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { STORES, startServer } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

for (const store of STORES) {
  test(`reads from elsewhere are logged once for each place, without the token (${store})`, async () => {
    const server = await startServer(store, "warn");
    const wire = openWire("gRPC", server);
    const client = wire.client(SessionService);
    const lines = () =>
      server.log.map((line) => {
        const { time: _, pid: _pid, hostname: _host, ...rest } = JSON.parse(line);
        return rest;
      });
    try {
      const app = "shop";
      const policy = { bindIp: Binding.END, bindUserAgent: Binding.REPORT };
      await client.setAppPolicy({ app, policy });
      const created = { app, userId: "ann", ip: "192.0.2.1", userAgent: "Mine/1" };
      const { token, session } = await client.createSession(created);
      const who = { level: 40, app, session: session?.sessionId, user: "ann" };

      for (const userAgent of ["Theirs/1", "Theirs/1", "Mine/1", "Theirs/2"]) {
        await client.getSession({ app, token, userAgent });
      }
      const msg = "session read from elsewhere";
      const agent = { ...who, field: "user_agent", bound: "Mine/1", msg };
      const reported = [
        { ...agent, seen: "Theirs/1" },
        { ...agent, seen: "Theirs/2" },
      ];
      assert.deepEqual(lines(), reported);

      const stolen = { app, token, ip: "192.0.2.2", userAgent: "Theirs/3" };
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, () => client.getSession(stolen)),
      );
      assert.ok(outcomes.every(({ status }) => status === "rejected"));
      assert.deepEqual(lines(), [
        ...reported,
        {
          ...who,
          field: "ip",
          bound: "192.0.2.1",
          seen: "192.0.2.2",
          msg: "session ended: it was read from elsewhere",
        },
      ]);
      assert.ok(!server.log.join("").includes(token.slice(0, 16)));
    } finally {
      wire.close();
      await server.close();
    }
  });
}
