import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { basicOf, type Guarded, withGuarded } from "../../support/accounts.js";
import { connectCommand, PEER_NAMES, PEERS } from "../../support/peers.js";
import { openWire } from "../../support/transports/wires.js";

// Every check of a password that comes to an end leaves one line: of a login, or of a failure.
const logins = ({ logged }: Guarded) => logged("logged in by password").length;
const failures = ({ logged }: Guarded) =>
  logged("authentication failed").filter(({ reason }) => reason === "wrong password").length;

for (const name of PEER_NAMES) {
  test(`a connection by ${name} costs one check of its password`, () =>
    withGuarded(async (server) => {
      const { ann, bob } = server;
      const peer = await PEERS[name].connect(server);
      assert.equal((await peer.call(ann.basic)).status, "ok");
      assert.equal(logins(server), 1);
      for (const header of [ann.basic, ann.bearer, ann.basic]) {
        assert.equal((await peer.call(header)).status, "ok");
      }
      assert.equal(logins(server), 1);
      // Another account has a password of its own to be checked.
      await peer.call(bob.basic);
      await peer.call(ann.basic);
      await peer.call(bob.basic);
      assert.equal(logins(server), 2);

      const next = await PEERS[name].connect(server);
      assert.equal((await next.call(ann.basic)).status, "ok");
      assert.equal(logins(server), 3);
      for (const one of [peer, next]) one.close();
    }));
}

test("calls at once on one connection cost one check, right or wrong", () =>
  withGuarded(async (server) => {
    const { ann } = server;
    const peer = await PEERS.gRPC.connect(server);
    const calls = (header: string) =>
      Promise.all(Array.from({ length: 20 }, () => peer.call(header)));
    const answers = await calls(ann.basic);
    assert.ok(answers.every(({ status }) => status === "ok"));
    assert.deepEqual([logins(server), failures(server)], [1, 0]);

    const refused = await calls(basicOf("ann", "wrong password"));
    assert.ok(refused.every(({ status }) => status === "Unauthenticated"));
    assert.deepEqual([logins(server), failures(server)], [1, 1]);
    peer.close();
  }));

test("two calls at once that open two connections cost one check", () =>
  withGuarded(async (server) => {
    const wire = openWire("Connect JSON", server);
    const client = wire.client(SessionService);
    const options = { headers: { authorization: server.ann.basic } };
    const sessions = await Promise.all([
      client.getCurrentSession({}, options),
      client.getCurrentSession({}, options),
    ]);
    assert.equal(new Set(sessions.map(({ session }) => session?.address)).size, 2);
    assert.equal(logins(server), 1);
    wire.close();
  }));

test("a command connection costs one check", () =>
  withGuarded(async (server) => {
    const client = await connectCommand(server, server.ann);
    for (let n = 0; n < 10; n++) await client.call("SESSION");
    assert.equal(logins(server), 1);
    client.close();
  }));
