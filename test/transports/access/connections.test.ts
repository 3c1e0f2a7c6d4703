import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPasswords } from "../../../src/services/logins/passwords.js";
import { basicOf, type Guarded, withGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import {
  connectCommand,
  PEER_NAMES,
  PEERS,
  type Peer,
  type PeerAnswer,
} from "../../support/peers.js";

const UNAUTHORIZED = "unauthorized or session not found";
const ACCEPTED = { status: "ok", reason: "" };

const summary = ({ status, reason }: PeerAnswer) => ({ status, reason });

/** What ends an account, and its connections with it. */
const ENDINGS = {
  disabled: ({ accounts }: Guarded) => accounts.setEnabled("ann", false),
  removed: ({ accounts }: Guarded) => accounts.remove("ann"),
};

for (const name of PEER_NAMES) {
  const { connect, refused } = PEERS[name];

  /** Runs `body` with a server, and with connections to it that are closed. */
  const withPeers = (body: (server: Guarded, open: () => Promise<Peer>) => Promise<void>) =>
    withGuarded(async (server) => {
      const peers: Peer[] = [];
      try {
        await body(server, async () => {
          const peer = await connect(server);
          peers.push(peer);
          return peer;
        });
      } finally {
        for (const peer of peers) peer.close();
      }
    });

  describe(`a ${name} call`, () => {
    test("is refused without credentials and with wrong ones, and accepted with right ones", () =>
      withPeers(async ({ ann, admin, accounts, add }, open) => {
        const peer = await open();
        const off = await add({ name: "off", apps: ["shop"] });
        await accounts.setEnabled("off", false);
        const none = await peer.call();
        assert.deepEqual(summary(none), refused);

        // These differ in what exists, and not by a letter in what the caller is told.
        const wrong = await Promise.all(
          [
            `Bearer lk_${"A".repeat(43)}`,
            off.bearer,
            off.basic,
            basicOf("nobody", ann.password),
            basicOf("ann", admin.password),
            basicOf("ann", ann.key),
            basicOf("ann", ""),
          ].map((header) => peer.call(header)),
        );
        for (const answer of wrong) {
          assert.deepEqual(summary(answer), refused);
          assert.deepEqual(answer, wrong[0]);
          assert.doesNotMatch(JSON.stringify(answer), /ann|nobody|shop|disabled|unknown|password/i);
        }
        for (const header of ["Bearer", "Digest x", `Bearer ${ann.key} more`, ann.key, "Basic !"]) {
          assert.deepEqual(summary(await peer.call(header)), refused, header);
        }
        for (const { headers } of [none, ...wrong]) {
          if (name === "gRPC") break;
          assert.match(
            `${headers["www-authenticate"]}`,
            /^Bearer realm="[^"]+", Basic realm="[^"]+"/,
          );
        }

        for (const header of [
          ann.bearer,
          ann.basic,
          ann.bearer.replace("Bearer", "bearer"),
          ann.basic.replace("Basic", "BASIC"),
          admin.bearer,
        ]) {
          assert.deepEqual(summary(await peer.call(header)), ACCEPTED);
        }
        // What one call proved does not hold for the next.
        assert.deepEqual(summary(await peer.call()), refused);
        assert.ok(peer.isConnected());
      }));

    test("is refused after its key was revoked, on the connection that stays open", () =>
      withPeers(async ({ ann, accounts }, open) => {
        const peer = await open();
        assert.deepEqual(summary(await peer.call(ann.bearer)), ACCEPTED);
        await accounts.revokeKey("ann", ann.keyId);
        await eventually("a refusal", async () => (await peer.call(ann.bearer)).status !== "ok");
        assert.deepEqual(summary(await peer.call(ann.bearer)), refused);
        assert.deepEqual(summary(await peer.call(ann.basic)), ACCEPTED);
        assert.ok(peer.isConnected());
        assert.deepEqual(summary(await (await open()).call(ann.bearer)), refused);
      }));

    test("is refused after its password was set anew, on the connection that stays open", () =>
      withPeers(async ({ ann, accounts }, open) => {
        const peer = await open();
        assert.deepEqual(summary(await peer.call(ann.basic)), ACCEPTED);
        await accounts.setPassword("ann", await createPasswords().hash("another password"));
        await eventually("the change", async () => {
          const answer = await peer.call(ann.basic);
          if (answer.status === "ok") return false;
          assert.deepEqual(summary(answer), refused);
          return true;
        });
        assert.deepEqual(summary(await peer.call(basicOf("ann", "another password"))), ACCEPTED);
        assert.deepEqual(summary(await peer.call(ann.bearer)), ACCEPTED);
        assert.ok(peer.isConnected());
      }));

    for (const [ending, end] of Object.entries(ENDINGS)) {
      test(`is refused after its account was ${ending}, whose connections end`, () =>
        withPeers(async (server, open) => {
          const { ann, bob, admin } = server;
          const [byKey, byPassword, shared, other] = await Promise.all([
            open(),
            open(),
            open(),
            open(),
          ]);
          await byKey.call(ann.bearer);
          await byPassword.call(ann.basic);
          await shared.call(admin.bearer);
          await shared.call(ann.bearer);
          await other.call(admin.bearer);
          await other.call(bob.bearer);
          await end(server);
          for (const peer of [byKey, byPassword]) {
            await eventually("the connection's end", () => !peer.isConnected());
          }
          // A proxy's, say: it goes on for the other account.
          assert.deepEqual(summary(await shared.call(ann.bearer)), refused);
          assert.deepEqual(summary(await shared.call(admin.bearer)), ACCEPTED);
          assert.ok(shared.isConnected());
          assert.deepEqual(summary(await other.call(admin.bearer)), ACCEPTED);
          for (const header of [ann.bearer, ann.basic]) {
            assert.deepEqual(summary(await other.call(header)), refused);
          }
          assert.ok(other.isConnected());
        }));
    }
  });
}

describe("a client of the command protocol", () => {
  test("is refused without credentials and with wrong ones, and accepted with right ones", () =>
    withGuarded(async (server) => {
      const { ann } = server;
      for (const [command, ...args] of [
        ["SESSION"],
        ["auth"],
        ["auth", "", ""],
        ["auth", "ann", "wrong password"],
        ["auth", "nobody", ann.password],
        // A key is no password.
        ["auth", "ann", ann.key],
      ] satisfies [string, ...string[]][]) {
        const client = await connectCommand(server);
        const { status, result } = await client.call(command, ...args);
        assert.deepEqual([status, result], ["Error", UNAUTHORIZED], command);
        assert.deepEqual(await client.rest(), []);
      }
      const client = await connectCommand(server, ann);
      assert.equal((await client.call("SESSION")).status, "Ok");
      client.close();
    }));

  test("is refused after its password was set anew", () =>
    withGuarded(async (server) => {
      const { ann, admin, accounts } = server;
      const [client, other] = [
        await connectCommand(server, ann),
        await connectCommand(server, admin),
      ];
      const { localPort } = client.socket;
      await accounts.setPassword("ann", await createPasswords().hash("another password"));
      let answer = await client.call("PING");
      await eventually("the change", async () => {
        if (answer.status === "Ok") answer = await client.call("PING");
        return answer.status !== "Ok";
      });
      // The connection was there for the refusal, and ends with it.
      assert.equal(answer.clientId.split(":").at(-1), `${localPort}`);
      assert.equal(answer.result, UNAUTHORIZED);
      assert.deepEqual(await client.rest(), []);
      assert.equal((await other.call("PING")).result, "PONG");
      const again = await connectCommand(server, { ...ann, password: "another password" });
      assert.equal((await again.call("PING")).result, "PONG");
      for (const one of [again, other]) one.close();
    }));

  for (const [ending, end] of Object.entries(ENDINGS)) {
    test(`has its connection ended when its account was ${ending}`, () =>
      withGuarded(async (server) => {
        const { ann, admin } = server;
        const client = await connectCommand(server, ann);
        const other = await connectCommand(server, admin);
        await end(server);
        await eventually("the connection's end", () => !client.isConnected());
        assert.equal((await other.call("PING")).result, "PONG");
        const again = await connectCommand(server);
        assert.equal((await again.call("auth", "ann", ann.password)).result, UNAUTHORIZED);
        other.close();
      }));
  }
});
