import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  GetCurrentSessionResponseSchema,
  SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { withGuarded } from "../../support/accounts.js";
import { connectCommand, connectPath } from "../../support/peers.js";
import { assertRefused } from "../../support/transports/case.js";
import { openRest } from "../../support/transports/rest.js";
import { SECOND, withServer } from "../../support/transports/server.js";
import { withWires } from "../../support/transports/wires.js";

const NOON = "2040-02-29T12:00";

test("GET /session answers the documented object, as SESSION does", () =>
  withGuarded(async (server) => {
    const { ann, clock } = server;
    const peer = await connectPath(server, "GET", "/session");
    const first = await peer.call(ann.bearer);
    assert.equal(
      first.text,
      `{"created_at":"${NOON}:00.000000Z","last_accessed_at":"${NOON}:00.000000Z",` +
        `"session_id":"1-127.0.0.1:${peer.port}","status":1,` +
        `"user":{"Password":"*******","Role":"User","Username":"ann"}}`,
    );
    assert.equal(first.headers["content-type"], "application/json; charset=utf-8");
    assert.equal(first.headers["cache-control"], "no-store");

    clock.advance(1.5 * SECOND);
    const client = await connectCommand(server, ann);
    clock.advance(10 * SECOND);
    const over = (start: string, end: string, id: string) => ({
      created_at: `${NOON}:${start}Z`,
      last_accessed_at: `${NOON}:${end}Z`,
      session_id: id,
      status: 1,
      user: { Password: "*******", Role: "User", Username: "ann" },
    });
    const { result } = await client.call("SESSION");
    assert.deepEqual(
      JSON.parse(result),
      over("01.500000", "11.500000", `2-127.0.0.1:${client.socket.localPort}`),
    );
    assert.deepEqual(
      JSON.parse((await peer.call(ann.bearer)).text),
      over("00.000000", "11.500000", `1-127.0.0.1:${peer.port}`),
    );
    client.close();
    peer.close();
  }));

test("GET /session is the Admin's for an Admin, whichever account called before", () =>
  withGuarded(async (server) => {
    const { ann, admin } = server;
    const peer = await connectPath(server, "GET", "/session");
    const ask = async (header: string) => {
      const { session_id: id, user } = JSON.parse((await peer.call(header)).text);
      return [id.split("-")[0], user.Username, user.Role];
    };
    // Each caller on a connection has a session of its own, and keeps it.
    for (let turn = 0; turn < 2; turn++) {
      assert.deepEqual(await ask(ann.bearer), ["1", "ann", "User"]);
      assert.deepEqual(await ask(admin.basic), ["2", "admin", "Admin"]);
    }
    peer.close();
  }));

test("GetCurrentSession answers the same on every wire, and nothing like a password", () =>
  withGuarded(async (server) => {
    const { ann, clock } = server;
    const options = { headers: { authorization: ann.basic } };
    await withWires(server, async (wires) => {
      for (const wire of wires) {
        const client = wire.client(SessionService);
        const createdAt = new Date(clock.now()).toISOString().replace(".000Z", "Z");
        await client.countActiveUsers({ app: "shop", activeWithin: { seconds: 60n } }, options);
        clock.advance(SECOND);
        const lastAccessedAt = new Date(clock.now()).toISOString().replace(".000Z", "Z");
        const answer = await client.getCurrentSession({}, options);
        const { address = "", sessionId = "" } = answer.session ?? {};
        assert.match(address, /^127\.0\.0\.1:\d+$/);
        assert.match(sessionId, /^\d+-/);
        assert.deepEqual(toJson(GetCurrentSessionResponseSchema, answer), {
          session: {
            sessionId: `${Number.parseInt(sessionId, 10)}-${address}`,
            account: "ann",
            role: "ROLE_USER",
            address,
            listener: wire.name === "gRPC" ? "LISTENER_GRPC" : "LISTENER_HTTP",
            createdAt,
            lastAccessedAt,
          },
        });
      }
    });
  }));

test("where authentication is off there is no current session, and no caller", () =>
  withServer("sqlite", async (server) => {
    const refused = { code: Code.Unauthenticated, reason: "UNAUTHENTICATED" };
    await withWires(server, async (wires) => {
      for (const wire of wires) {
        const client = wire.client(SessionService);
        await assertRefused(client.getCurrentSession({}), refused);
        await assertRefused(client.listCallers({}), refused);
      }
    });
    const rest = openRest(server.http);
    const { status, text, headers } = await rest.call("GET", "/session");
    assert.equal(status, 401);
    assert.equal(text, '{"name":"unauthenticated","message":"unauthorized or session not found"}');
    assert.match(headers["www-authenticate"] ?? "", /^Bearer .*, Basic /);
    rest.close();
  }));
