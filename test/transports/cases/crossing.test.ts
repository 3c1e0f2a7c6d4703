import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { assertRefused, NOT_FOUND, plain, seconds } from "../../support/transports/case.js";
import { type RestTrial, withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";
import { type Wire, withWires } from "../../support/transports/wires.js";

const clientOf = (wire: Wire) => wire.client(SessionService);

/** Declares a test over each store, with every wire of one server. */
function check(title: string, body: (trial: RestTrial, wires: readonly Wire[]) => Promise<void>) {
  for (const store of STORES) {
    test(`${title} (${store})`, () =>
      withRest(store, (trial) => withWires(trial.server, (wires) => body(trial, wires))));
  }
}

check("a session of the endpoints is the same on every typed wire", async (trial, wires) => {
  const { create, clock } = trial;
  const d = { name: "Ann", age: 46, ok: true };
  const token = await create("user%40example.com?ip=192.0.2.1&ttl=60", d);
  const createdAt = clock.now();
  clock.advance(7 * SECOND);
  await trial.text("POST", `/shop/set/${token}`, { age: null });
  for (const wire of wires) {
    const { session } = await clientOf(wire).getSession({ app: "shop", token, peek: true });
    const { sessionId, ...rest } = plain(session);
    assert.deepEqual(rest, {
      app: "shop",
      userId: "user@example.com",
      ip: "192.0.2.1",
      userAgent: "",
      data: { name: "Ann", ok: true },
      reads: 1,
      writes: 2,
      version: 2,
      createdAt,
      lastAccessedAt: clock.now(),
      idleTtl: 60,
      expiresAt: clock.now() + 60 * SECOND,
      absoluteExpiresAt: null,
    });
    const listed = await clientOf(wire).listUserSessions({ app: "shop", userId: rest.userId });
    assert.deepEqual(plain(listed.sessions[0]), { sessionId, ...rest });
  }
});

check("a session of a typed wire is the same on the endpoints", async ({ text, clock }, wires) => {
  for (const wire of wires) {
    const client = clientOf(wire);
    const app = wire.name.replace(/\W/g, "_");
    const { token } = await client.createSession({
      app,
      userId: "김민준",
      ip: "192.0.2.1",
      idleTtl: seconds(60),
      data: { nested: { a: [1, null] }, flat: 1 },
    });
    clock.advance(5 * SECOND);
    const session = (r: number, idle: number) =>
      `{"id":"김민준","r":${r},"w":1,"ttl":60,"idle":${idle},"ip":"192.0.2.1","d":{"nested":{"a":[1,null]},"flat":1}}`;
    assert.equal(await text("GET", `/${app}/get/${token}`), session(1, 5));
    await client.getSession({ app, token });
    const path = encodeURIComponent("김민준");
    assert.equal(await text("GET", `/${app}/soid/${path}`), `{"sessions":[${session(3, 0)}]}`);
    assert.equal(await text("GET", `/${app}/soapp?dt=60`), `{"sessions":[${session(3, 0)}]}`);
    assert.equal(await text("GET", `/${app}/activity?dt=60`), '{"activity":1}');
    await text("POST", `/${app}/set/${token}`, { nested: null });
    const read = await client.getSession({ app, token, peek: true });
    assert.deepEqual(read.session?.data, { flat: 1 });
  }
});

check(
  "a session without ip or with an absolute limit has its place on the endpoints",
  async (trial, wires) => {
    const [wire] = wires;
    assert.ok(wire);
    const request = { app: "shop", userId: "ann", idleTtl: seconds(60) };
    const limited = await clientOf(wire).createSession({ ...request, absoluteTtl: seconds(600) });
    const fixed = await clientOf(wire).createSession({ ...request, absoluteTtl: seconds(60) });
    trial.clock.advance(10 * SECOND);
    const get = (token: string) => trial.text("GET", `/shop/get/${token}`);
    const shared = '"id":"ann","r":1,"w":1';
    assert.equal(await get(limited.token), `{${shared},"ttl":60,"idle":10,"ip":""}`);
    assert.equal(await get(fixed.token), `{${shared},"ttl":50,"idle":10,"ip":"","no_resave":true}`);
  },
);

check("a session ended on one wire is ended on all", async ({ text, create }, wires) => {
  const target = (value: string) => ({ case: "token", value }) as const;
  for (const ending of wires) {
    const token = await create("ann?ip=::1");
    await clientOf(ending).deleteSession({ app: "shop", target: target(token) });
    for (const wire of wires) {
      const read = clientOf(wire).getSession({ app: "shop", token });
      await assertRefused(read, NOT_FOUND, wire.name);
    }
    assert.equal(await text("GET", `/shop/get/${token}`), "{}");
  }
  const token = await create("ann?ip=::1");
  await text("DELETE", `/shop/kill/${token}`);
  for (const wire of wires) {
    await assertRefused(clientOf(wire).getSession({ app: "shop", token }), NOT_FOUND, wire.name);
  }
});

const DATA =
  '{"__proto__":{"admin":[true,null]},"n\\u0000l":"\\u0000","":0,"한":"é🔑","1":-0.5,"e":1e+300}';

check("data of one wire is the same to the letter on all others", async ({ text }, wires) => {
  const parse = () => JSON.parse(DATA) as JsonObject;
  for (const writing of wires) {
    const { token } = await clientOf(writing).createSession({ app: "shop", userId: "ann" });
    await clientOf(writing).updateSession({ app: "shop", token, data: parse() });
    for (const wire of wires) {
      const { session } = await clientOf(wire).getSession({ app: "shop", token, peek: true });
      assert.equal(JSON.stringify(session?.data), JSON.stringify(parse()), wire.name);
    }
    const d = JSON.stringify(parse());
    assert.ok((await text("GET", `/shop/get/${token}`)).includes(`"d":${d}`));
  }
  assert.equal("admin" in {}, false, "a prototype was changed");
});
