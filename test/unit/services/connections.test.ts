import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Account } from "../../../src/domain/accounts/account.js";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createConnections, type Peer } from "../../../src/services/access/connections.js";
import { toSessionObject } from "../../../src/transports/rpc/caller-session.js";
import { type Accounts, createAccounts } from "../../support/plain-accounts.js";

const SILENT = { warn: () => {} };

const NOW = Date.UTC(2040, 1, 29, 12);
const ADDRESS = "127.0.0.1:53531";

/** Connections over accounts of the test's own, with a clock that it moves. */
function setUp() {
  const accounts: Accounts = createAccounts();
  const clock = { at: NOW };
  const now = () => clock.at;
  const connections = createConnections({
    authentication: accounts.authentication(now),
    now,
    logger: SILENT,
  });
  const ended: string[] = [];
  const open = (address = ADDRESS, more: Partial<Peer> = {}) =>
    connections.open({
      transport: "grpc",
      address,
      end: () => ended.push(address),
      ...more,
    });
  return { accounts, clock, connections, open, ended };
}

const unauthenticated = (error: unknown) =>
  error instanceof LatchkeyError && error.code === "unauthenticated";

const names = (list: readonly { account: Account }[]) => list.map(({ account }) => account.name);

describe("who calls on a connection", () => {
  test("is told by the header of the call", () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    const session = open().identify("Bearer lk_ann");
    assert.deepEqual(session, {
      id: `1-${ADDRESS}`,
      address: ADDRESS,
      transport: "grpc",
      createdAt: NOW,
      lastAccessedAt: NOW,
      account: accounts.get("ann"),
    });
  });

  test("is noted once a minute for as long as it calls, though it is verified once", () => {
    const { accounts, clock, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    const connection = open();
    for (let second = 0; second <= 150; second += 10) {
      connection.identify("Bearer lk_ann");
      clock.at += 10_000;
    }
    assert.equal(accounts.checked.length, 1);
    assert.deepEqual(accounts.noted, ["ann", "ann"]);
  });

  test("has a session that moves with every call and stays the same one", () => {
    const { accounts, clock, open, connections } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    const connection = open();
    connection.identify("Bearer lk_ann");
    clock.at += 5_000;
    connection.identify("Bearer lk_ann");
    assert.deepEqual(
      connections.list().map(({ id, createdAt, lastAccessedAt }) => ({
        id,
        createdAt,
        lastAccessedAt,
      })),
      [{ id: `1-${ADDRESS}`, createdAt: NOW, lastAccessedAt: NOW + 5_000 }],
    );
    clock.at -= 60_000;
    connection.identify("Bearer lk_ann");
    assert.equal(connections.list()[0]?.lastAccessedAt, NOW + 5_000, "a clock set back");
  });

  test("is authenticated once, not at each call", async () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann", password: "secret" });
    const connection = open();
    for (let call = 0; call < 5; call++) {
      connection.identify("Bearer lk_ann");
      await connection.identify("Basic ann:secret");
    }
    assert.deepEqual(accounts.checked, ["Bearer lk_ann", "Basic ann:secret"]);
    assert.equal(accounts.standings(), 2, "the standing is asked once per caller too");
  });

  test("is answered without a promise when seen before", async () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { password: "secret" });
    const connection = open();
    const first = connection.identify("Basic ann:secret");
    assert.ok(first instanceof Promise);
    assert.equal(connection.identify("Basic ann:secret"), first, "one verification for two calls");
    const session = await first;
    assert.equal(connection.identify("Basic ann:secret"), session);
    assert.equal(accounts.checked.length, 1);
  });

  test("is asked again after a password was wrong", async () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { password: "secret" });
    const connection = open();
    const [one, two] = [
      connection.identify("Basic ann:wrong"),
      connection.identify("Basic ann:wrong"),
    ];
    await assert.rejects(async () => one, unauthenticated);
    await assert.rejects(async () => two, unauthenticated);
    assert.equal(accounts.checked.length, 1);
    await assert.rejects(async () => connection.identify("Basic ann:wrong"), unauthenticated);
    assert.equal(accounts.checked.length, 2);
  });

  test("is told by the certificate if there is no header, and by the header if there is", () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    accounts.add("bob", "User", {});
    const connection = open(ADDRESS, { commonName: "bob" });
    assert.deepEqual(
      [undefined, "Bearer lk_ann"].map((header) => {
        const session = connection.identify(header);
        assert.ok(!(session instanceof Promise));
        return session.account.name;
      }),
      ["bob", "ann"],
    );
    assert.throws(() => connection.identify("Bearer lk_wrong"), unauthenticated);
  });

  test("is nobody without header, login and certificate", () => {
    assert.throws(() => setUp().open().identify(undefined), unauthenticated);
  });

  test("is who logged in, for calls without a header", async () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { password: "secret" });
    const connection = open();
    const session = await connection.login("ann", "secret");
    assert.equal(session.id, connection.id);
    assert.equal(connection.identify(undefined), session);
    await assert.rejects(open().login("ann", "wrong"), unauthenticated);
  });

  test("does not become the certificate's account when a login ends", async () => {
    const { accounts, connections, open } = setUp();
    accounts.add("ann", "Admin", { password: "secret" });
    accounts.add("bob", "Admin", {});
    const connection = open(ADDRESS, { commonName: "bob" });
    await connection.login("ann", "secret");
    accounts.endCredentials("ann");
    connections.review();
    assert.throws(() => connection.identify(undefined), unauthenticated);
  });

  test("is judged by the bare address", async () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann", password: "secret" });
    open("127.0.0.1:1").identify("Bearer lk_ann");
    await open("[::1]:2").login("ann", "secret");
    assert.deepEqual(accounts.addresses, ["127.0.0.1", "::1"]);
  });
});

describe("a session's id", () => {
  test("counts connections, and callers that share one", () => {
    const { accounts, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    accounts.add("bob", "User", { key: "lk_bob" });
    const [one, two] = [open("127.0.0.1:1"), open("127.0.0.1:2")];
    assert.deepEqual([one.id, two.id], ["1-127.0.0.1:1", "2-127.0.0.1:2"]);
    const id = (connection: typeof one, key: string) => {
      const session = connection.identify(`Bearer ${key}`);
      assert.ok(!(session instanceof Promise));
      return session.id;
    };
    assert.equal(id(two, "lk_bob"), "2-127.0.0.1:2");
    assert.equal(id(one, "lk_bob"), "1-127.0.0.1:1");
    assert.equal(id(one, "lk_ann"), "3-127.0.0.1:1");
    assert.equal(id(one, "lk_bob"), "1-127.0.0.1:1");
  });
});

describe("an end", () => {
  test("of a key is heeded at the next call, on the open connection", () => {
    const { accounts, connections, open, ended } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    const connection = open();
    connection.identify("Bearer lk_ann");
    accounts.endCredentials("ann");
    connections.review();
    assert.deepEqual(connections.list(), []);
    assert.throws(() => connection.identify("Bearer lk_ann"), unauthenticated);
    assert.deepEqual(ended, []);
  });

  test("of a key's own time needs no review", () => {
    const { accounts, clock, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann", expiresAt: NOW + 1_000 });
    const connection = open();
    connection.identify("Bearer lk_ann");
    clock.at = NOW + 999;
    connection.identify("Bearer lk_ann");
    clock.at = NOW + 1_000;
    assert.throws(() => connection.identify("Bearer lk_ann"), unauthenticated);
  });

  test("of an account ends the connections on which it alone called, and no others", () => {
    const { accounts, connections, open, ended } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    accounts.add("bob", "User", { key: "lk_bob" });
    open("127.0.0.1:1").identify("Bearer lk_ann");
    open("127.0.0.1:2").identify("Bearer lk_bob");
    accounts.remove("ann");
    connections.review();
    assert.deepEqual(ended, ["127.0.0.1:1"]);
    assert.deepEqual(names(connections.list()), ["bob"]);
  });

  test("of an account leaves the connection to the others who call on it", () => {
    const { accounts, connections, open, ended } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann" });
    accounts.add("bob", "User", { key: "lk_bob" });
    const shared = open();
    const bob = shared.identify("Bearer lk_bob");
    const ann = shared.identify("Bearer lk_ann");
    assert.ok(!(ann instanceof Promise) && !(bob instanceof Promise));
    const [annsEnd, bobsEnd] = [connections.endOf(ann), connections.endOf(bob)];
    accounts.remove("ann");
    connections.review();
    assert.deepEqual(ended, []);
    assert.deepEqual([annsEnd.aborted, bobsEnd.aborted], [true, false]);
    assert.throws(() => connections.checkStanding(ann), unauthenticated);
    assert.throws(() => shared.identify("Bearer lk_ann"), unauthenticated);
    assert.equal(shared.identify("Bearer lk_bob"), bob);
  });

  test("of an account during its verification is heeded", async () => {
    const { accounts, connections, open } = setUp();
    accounts.add("ann", "Admin", { password: "secret" });
    const connection = open();
    const verified = connection.identify("Basic ann:secret");
    accounts.remove("ann");
    connections.review();
    await assert.rejects(async () => verified, unauthenticated);
    assert.deepEqual(connections.list(), []);
  });

  test("of a connection ends its sessions, those under verification too", async () => {
    const { accounts, connections, open } = setUp();
    accounts.add("ann", "Admin", { key: "lk_ann", password: "secret" });
    const connection = open();
    connection.identify("Bearer lk_ann");
    const verified = connection.identify("Basic ann:secret");
    const login = connection.login("ann", "secret");
    connection.close();
    connection.close();
    await assert.rejects(async () => verified, unauthenticated);
    await assert.rejects(login, unauthenticated);
    assert.deepEqual(connections.list(), []);
    assert.throws(() => connection.identify("Bearer lk_ann"), unauthenticated);
    await assert.rejects(connection.login("ann", "secret"), unauthenticated);
  });
});

test("a connection remembers sixteen callers and forgets the longest unused", () => {
  const { accounts, connections, open } = setUp();
  const keys = Array.from({ length: 17 }, (_, index) => `lk_${index}`);
  for (const key of keys) accounts.add(key, "User", { key });
  const connection = open();
  for (const key of keys.slice(0, 16)) connection.identify(`Bearer ${key}`);
  connection.identify("Bearer lk_0");
  connection.identify("Bearer lk_16");
  assert.deepEqual(
    names(connections.list()),
    keys.filter((key) => key !== "lk_1"),
  );
});

test("callers are listed by the age of their connections", () => {
  const { accounts, connections, open } = setUp();
  accounts.add("ann", "Admin", { key: "lk_ann" });
  const [one, two] = [open("127.0.0.1:1"), open("127.0.0.1:2")];
  two.identify("Bearer lk_ann");
  assert.deepEqual(
    connections.list().map(({ address }) => address),
    ["127.0.0.1:2"],
    "a connection without a caller is none",
  );
  one.identify("Bearer lk_ann");
  assert.deepEqual(
    connections.list().map(({ address }) => address),
    ["127.0.0.1:1", "127.0.0.1:2"],
  );
});

test("the session object has the documented fields in the documented order", () => {
  const { accounts, open } = setUp();
  accounts.add("admin", "Admin", { key: "lk_admin" });
  const session = open().identify("Bearer lk_admin");
  assert.ok(!(session instanceof Promise));
  assert.equal(
    JSON.stringify(toSessionObject(session)),
    `{"created_at":"2040-02-29T12:00:00.000000Z","last_accessed_at":"2040-02-29T12:00:00.000000Z","session_id":"1-127.0.0.1:53531","status":1,"user":{"Password":"*******","Role":"Admin","Username":"admin"}}`,
  );
});
