import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { hashApiKey, newApiKey } from "../../../src/domain/accounts/account.js";
import { createPasswords } from "../../../src/services/logins/passwords.js";
import { basicOf, type Guarded, withGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { connectCommand, connectPath, PEER_NAMES, PEERS, type Peer } from "../../support/peers.js";
import { NOW, SECOND } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

const INFO = 30;

/** The lines at `info` and above since line `from`, without what every line has. */
function audited({ log }: Guarded, from: number) {
  return log
    .slice(from)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ level }) => Number(level) >= INFO)
    .map(({ level, time, pid, hostname, ...line }) => line);
}

/** What `act` had logged. */
async function auditOf(server: Guarded, act: () => Promise<unknown>) {
  const from = server.log.length;
  await act();
  return audited(server, from);
}

const failed = (reason: string, account?: string) => ({
  ...(account === undefined ? {} : { account }),
  address: "127.0.0.1",
  reason,
  msg: "authentication failed",
});

/** Ways to fail, each with the header and how it is logged. */
const FAILURES: Readonly<
  Record<string, (server: Guarded) => Promise<[string | undefined, reason: string, who?: string]>>
> = {
  "no credentials": async () => [undefined, "no credentials"],
  "a header that is none": async () => ["Digest abc", "malformed header"],
  "an unknown key": async () => [`Bearer ${newApiKey(randomBytes)}`, "unknown key"],
  "a key in the wrong place": async ({ ann }) => [ann.key, "malformed header"],
  "an unknown account": async () => [basicOf("nobody", "12345678"), "unknown account"],
  "a wrong password": async () => [basicOf("ann", "12345678"), "wrong password", "ann"],
  "an expired key": async ({ accounts, clock, admin, logged }) => {
    const key = newApiKey(randomBytes);
    const hash = hashApiKey(key);
    const fields = { label: "brief", createdAt: NOW, expiresAt: NOW + SECOND, hash };
    await accounts.addKey(admin.name, fields);
    await eventually("the key", () => logged("account changed").length === 7);
    clock.advance(SECOND);
    return [`Bearer ${key}`, "credential ended", "admin"];
  },
  "a disabled account's key": async ({ accounts, logged, ann }) => {
    await accounts.setEnabled("ann", false);
    await eventually("the end", () => logged("account changed").length === 7);
    return [ann.bearer, "account ended", "ann"];
  },
  "a disabled account's password": async ({ accounts, logged, ann }) => {
    await accounts.setEnabled("ann", false);
    await eventually("the end", () => logged("account changed").length === 7);
    return [ann.basic, "account ended", "ann"];
  },
  "a password where there is none": async ({ accounts, logged }) => {
    await accounts.add({ name: "bare", role: "User", apps: [], rke: false }, null);
    await eventually("the account", () => logged("account changed").length === 7);
    return [basicOf("bare", "12345678"), "no password", "bare"];
  },
};

for (const name of PEER_NAMES) {
  describe(`a failure to authenticate by ${name} is logged once`, () => {
    for (const [what, prepare] of Object.entries(FAILURES)) {
      test(`with ${what}`, () =>
        withGuarded(async (server) => {
          const [header, reason, who] = await prepare(server);
          const peer = await PEERS[name].connect(server);
          assert.deepEqual(await auditOf(server, () => peer.call(header)), [failed(reason, who)]);
          peer.close();
        }));
    }

    test("and so is each that is slowed down", () =>
      withGuarded(async (server) => {
        const peer = await PEERS[name].connect(server);
        const wrong = (n: number) => peer.call(basicOf("ann", `wrong password ${n}`));
        for (let n = 0; n < 5; n++) await wrong(n);
        const lines = await auditOf(server, () => wrong(5));
        assert.deepEqual(lines, [failed("slowed down", "ann")]);
        peer.close();
      }));
  });
}

describe("a failure to authenticate by the command protocol is logged once", () => {
  for (const [what, reason, who, command, ...args] of [
    ["a command before AUTH", "no credentials", undefined, "SESSION"],
    ["an unknown command before AUTH", "no credentials", undefined, "HELLO"],
    ["AUTH without arguments", "no credentials", undefined, "auth"],
    ["AUTH with one argument", "malformed AUTH", undefined, "auth", "ann"],
    ["an unknown account", "unknown account", undefined, "auth", "nobody", "12345678"],
    ["a wrong password", "wrong password", "ann", "auth", "ann", "12345678"],
  ] as const) {
    test(`with ${what}`, () =>
      withGuarded(async (server) => {
        const client = await connectCommand(server);
        const lines = await auditOf(server, () => client.call(command, ...args));
        assert.deepEqual(lines, [failed(reason, who)]);
        client.close();
      }));
  }
});

/** As the log shows the time of a change. */
const AT = new Date(NOW).toISOString();

test("every change of an account is logged once", () =>
  withGuarded(async (server) => {
    const { accounts } = server;
    const key = newApiKey(randomBytes);
    const fields = { label: "x", createdAt: NOW, expiresAt: null, hash: hashApiKey(key) };
    const hash = await createPasswords().hash("12345678");
    const account = { name: "eve", role: "User", apps: ["shop"], rke: false } as const;
    for (const [change, act] of [
      [{ change: "added" }, () => accounts.add(account, null)],
      [{ change: "password set" }, () => accounts.setPassword("eve", hash)],
      [{ change: "key added", keyId: 4 }, () => accounts.addKey("eve", fields)],
      [{ change: "disabled" }, () => accounts.setEnabled("eve", false)],
      [{ change: "enabled" }, () => accounts.setEnabled("eve", true)],
      [{ change: "key revoked", keyId: 4 }, () => accounts.revokeKey("eve", 4)],
      [{ change: "removed" }, () => accounts.remove("eve")],
    ] satisfies [object, () => Promise<unknown>][]) {
      const from = server.log.length;
      await act();
      await eventually("a line", () => audited(server, from).length > 0);
      assert.deepEqual(audited(server, from), [
        { account: "eve", ...change, actor: "a test", at: AT, msg: "account changed" },
      ]);
    }
  }));

/** The line of a call, which names the connection that it came by. */
const lineOf = (account: string, { port }: Pick<Peer, "port">, rest: object) => ({
  account,
  address: `127.0.0.1:${port}`,
  ...rest,
});

test("the end of many sessions is logged once, and the end of one is not", () =>
  withGuarded(async (server) => {
    const { admin, ann } = server;
    const wire = openWire("gRPC", server);
    const client = wire.client(SessionService);
    const options = (header: string) => ({ headers: { authorization: header } });
    const create = () =>
      client.createSession({ app: "shop", userId: "eve" }, options(admin.bearer));
    const { session } = await client.getCurrentSession({}, options(admin.bearer));
    const port = Number(session?.address.split(":").at(-1));

    for (let n = 0; n < 3; n++) await create();
    const byUser = await auditOf(server, () =>
      client.deleteUserSessions({ app: "shop", userId: "eve" }, options(ann.bearer)),
    );
    const ofUser = { app: "shop", all: "of a user", count: 3, msg: "sessions ended" };
    assert.deepEqual(byUser, [lineOf("ann", { port }, ofUser)]);

    for (let n = 0; n < 2; n++) await create();
    const byAdmin = await auditOf(server, () =>
      client.deleteAppSessions({ app: "shop" }, options(admin.bearer)),
    );
    const ofApp = { app: "shop", all: "of the app", count: 2, msg: "sessions ended" };
    assert.deepEqual(byAdmin, [lineOf("admin", { port }, ofApp)]);

    const { token } = await create();
    const target = { case: "token", value: token } as const;
    const one = () => client.deleteSession({ app: "shop", target }, options(ann.bearer));
    assert.deepEqual(await auditOf(server, one), []);
    wire.close();
  }));

test("the use of a stolen token is logged once, by whichever call it was", () =>
  withGuarded(async (server) => {
    const { admin, ann, clock } = server;
    const wire = openWire("gRPC", server);
    const client = wire.client(SessionService);
    const options = { headers: { authorization: ann.bearer } };
    const { session } = await client.getCurrentSession({}, options);
    const port = Number(session?.address.split(":").at(-1));
    const app = "shop";
    const rotated = async () => {
      const { token, session } = await client.createSession({ app, userId: "eve" }, options);
      const next = await client.rotateToken({ app, token }, options);
      await client.getSession({ app, token: next.token }, options);
      clock.advance(30_000);
      return { token, sessionId: session?.sessionId ?? "" };
    };
    const msg = "session ended: its token was stolen";

    const uses: Record<string, (token: string) => Promise<unknown>> = {
      touch: (token) => assert.rejects(client.getSession({ app, token }, options)),
      peek: (token) => assert.rejects(client.getSession({ app, token, peek: true }, options)),
      batch: (token) => client.batchGetSessions({ app, tokens: [token, token] }, options),
      update: (token) =>
        assert.rejects(client.updateSession({ app, token, data: { a: 1 } }, options)),
      extend: (token) =>
        assert.rejects(client.extendSession({ app, token, idleTtl: { seconds: 60n } }, options)),
      rotate: (token) => assert.rejects(client.rotateToken({ app, token }, options)),
      delete: (value) => {
        const target = { case: "token", value } as const;
        return assert.rejects(client.deleteSession({ app, target }, options));
      },
      deleteUser: (value) => {
        const keep = { case: "keepToken", value } as const;
        return assert.rejects(client.deleteUserSessions({ app, userId: "eve", keep }, options));
      },
    };
    for (const [name, use] of Object.entries(uses)) {
      const { token, sessionId } = await rotated();
      const lines = await auditOf(server, () => use(token));
      assert.deepEqual(lines, [lineOf("ann", { port }, { app, sessionId, msg })], name);
    }

    const { token, sessionId } = await rotated();
    const peer = await connectPath(server, "GET", `/shop/get/${token}`);
    const lines = await auditOf(server, () => peer.call(admin.bearer));
    assert.deepEqual(lines, [lineOf("admin", peer, { app, sessionId, msg })]);
    peer.close();
    wire.close();
  }));

test("the end of many sessions by a path of rest-sessions is logged once", () =>
  withGuarded(async (server) => {
    const { admin } = server;
    for (const [path, all] of [
      ["/shop/killsoid/eve", "of a user"],
      ["/shop/killall", "of the app"],
    ] as const) {
      const peer = await connectPath(server, "DELETE", path);
      const lines = await auditOf(server, () => peer.call(admin.bearer));
      const line = { app: "shop", all, count: 0, msg: "sessions ended" };
      assert.deepEqual(lines, [lineOf("admin", peer, line)]);
      peer.close();
    }
  }));

test("a call that an account may not make is logged once", () =>
  withGuarded(async (server) => {
    const { ann } = server;
    const refused = (operation: string, app?: string) => ({
      operation,
      ...(app === undefined ? {} : { app }),
      msg: "call refused",
    });
    const soapp = await connectPath(server, "GET", "/forum/soapp?dt=60");
    assert.deepEqual(await auditOf(server, () => soapp.call(ann.bearer)), [
      lineOf("ann", soapp, refused("list", "forum")),
    ]);
    soapp.close();

    for (const name of ["gRPC", "Connect JSON"] as const) {
      const wire = openWire(name, server);
      const client = wire.client(SessionService);
      const options = { headers: { authorization: ann.bearer } };
      const { session } = await client.getCurrentSession({}, options);
      const port = Number(session?.address.split(":").at(-1));
      const token = "A".repeat(64);
      for (const [operation, app, call] of [
        ["touch", "forum", () => client.getSession({ app: "forum", token }, options)],
        [
          "deleteUser",
          "forum",
          () => client.deleteUserSessions({ app: "forum", userId: "eve" }, options),
        ],
        ["deleteApp", "shop", () => client.deleteAppSessions({ app: "shop" }, options)],
        ["setPolicy", "shop", () => client.setAppPolicy({ app: "shop", policy: {} }, options)],
        ["getPolicy", "forum", () => client.getAppPolicy({ app: "forum" }, options)],
        ["listCallers", undefined, () => client.listCallers({}, options)],
      ] satisfies [string, string | undefined, () => Promise<unknown>][]) {
        const lines = await auditOf(server, () => assert.rejects(call()));
        assert.deepEqual(lines, [lineOf("ann", { port }, refused(operation, app))]);
      }
      wire.close();
    }
  }));
