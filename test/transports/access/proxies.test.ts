import assert from "node:assert/strict";
import { get } from "node:http";
import { test } from "node:test";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { Network } from "../../../src/lib/network.js";
import { basicOf, type Guarded, withGuarded } from "../../support/accounts.js";
import { openWire, WIRES, withWires } from "../../support/transports/wires.js";

const HERE: readonly Network[] = [{ address: "127.0.0.0", prefix: 8 }];
const ELSEWHERE: readonly Network[] = [{ address: "10.0.0.0", prefix: 8 }];
const CALLER = "192.0.2.7";

const withProxies = (
  trustedProxies: readonly Network[],
  body: (server: Guarded) => Promise<void>,
) => withGuarded(body, { trustedProxies });

/** What a call by `GET /session` with these headers is answered, and the status. */
const getSession = (server: Guarded, headers: Record<string, string | string[]>) =>
  new Promise<{ status: number; id: string }>((resolve, reject) => {
    const sent = get(`http://${server.http}/session`, { headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("error", reject).on("end", () => {
        const { session_id: id = "" } = JSON.parse(text) as { session_id?: string };
        resolve({ status: answer.statusCode ?? 0, id });
      });
    });
    sent.on("error", reject);
  });

/** The address in a session's id, without the number before it and the port after it. */
const addressIn = (id: string) => id.replace(/^\d+-/, "").replace(/^127\.0\.0\.1:\d+$/, "the peer");

test("a caller behind a trusted proxy is known by the address that this forwards, on every wire", () =>
  withProxies(HERE, (server) =>
    withWires(server, async (wires) => {
      for (const wire of wires) {
        const client = wire.client(SessionService);
        const of = async (headers: Record<string, string>) => {
          const all = { authorization: server.admin.bearer, ...headers };
          const { session } = await client.getCurrentSession({}, { headers: all });
          return session?.address.replace(/^127\.0\.0\.1:\d+$/, "the peer");
        };
        assert.equal(await of({}), "the peer", wire.name);
        assert.equal(await of({ "x-forwarded-for": `6.6.6.6, ${CALLER}` }), CALLER, wire.name);
        assert.equal(await of({ forwarded: 'for="[2001:db8::7]:80"' }), "2001:db8::7", wire.name);
        assert.equal(await of({ "x-forwarded-for": `nonsense` }), "the peer", wire.name);
        const both = { "x-forwarded-for": CALLER, forwarded: "for=6.6.6.6" };
        assert.equal(await of(both), "the peer", wire.name);
      }
      const lister = wires[0]?.client(SessionService);
      const options = { headers: { authorization: server.admin.bearer } };
      const listed = await lister?.listCallers({}, options);
      const count = (address: string) =>
        listed?.callers.filter((caller) => caller.address === address).length;
      // Each wire's connection has one caller of each address.
      assert.deepEqual([count(CALLER), count("2001:db8::7")], [WIRES.length, WIRES.length]);
    }),
  ));

test("GET /session shows the forwarded address, of repeated headers too", () =>
  withProxies(HERE, async (server) => {
    const authorization = server.ann.bearer;
    const shown = async (headers: Record<string, string | string[]>) =>
      addressIn((await getSession(server, { authorization, ...headers })).id);
    assert.equal(await shown({ "X-Forwarded-For": CALLER }), CALLER);
    assert.equal(await shown({ "X-Forwarded-For": ["6.6.6.6", CALLER] }), CALLER);
    assert.equal(await shown({ Forwarded: ["for=6.6.6.6", `for=${CALLER}`] }), CALLER);
    assert.equal(await shown({}), "the peer");
  }));

test("nobody but a trusted proxy is believed, on any wire", () =>
  withProxies(ELSEWHERE, (server) =>
    withWires(server, async (wires) => {
      const headers = {
        authorization: server.ann.bearer,
        "x-forwarded-for": CALLER,
        forwarded: `for=${CALLER}`,
      };
      for (const wire of wires) {
        const client = wire.client(SessionService);
        const { session } = await client.getCurrentSession({}, { headers });
        assert.match(session?.address ?? "", /^127\.0\.0\.1:\d+$/, wire.name);
      }
      const wrong = { ...headers, authorization: basicOf("ann", "wrong password") };
      assert.equal((await getSession(server, wrong)).status, 401);
      const [line] = server.logged("authentication failed");
      assert.equal(line?.["address"], "127.0.0.1");
    }),
  ));

test("audit lines name the forwarded address", () =>
  withProxies(HERE, async (server) => {
    const { ann } = server;
    const wire = openWire("gRPC", server);
    const client = wire.client(SessionService);
    const as = (authorization: string | undefined) => ({
      headers: { "x-forwarded-for": CALLER, ...(authorization && { authorization }) },
    });
    try {
      await client.getCurrentSession({}, as(ann.basic));
      await assert.rejects(client.getCurrentSession({}, as(undefined)));
      await assert.rejects(client.getCurrentSession({}, as(basicOf("ann", "wrong password"))));
      await assert.rejects(client.deleteAppSessions({ app: "other" }, as(ann.bearer)));
      await client.deleteUserSessions({ app: "shop", userId: "bob" }, as(ann.bearer));
    } finally {
      wire.close();
    }
    await getSession(server, { "X-Forwarded-For": CALLER, Host: "evil.test" });
    const addresses = (msg: string) => server.logged(msg).map(({ address }) => address);
    assert.deepEqual(addresses("logged in by password"), [CALLER]);
    assert.deepEqual(addresses("authentication failed"), [CALLER, CALLER]);
    assert.deepEqual(addresses("call refused"), [CALLER]);
    assert.deepEqual(addresses("sessions ended"), [CALLER]);
    assert.deepEqual(addresses("request refused"), [CALLER]);
  }));

test("failed logins slow the address that they came from, and not the proxy", () =>
  withProxies(HERE, async (server) => {
    const logIn = async (address: string, authorization: string) =>
      (await getSession(server, { authorization, "X-Forwarded-For": address })).status;
    const wrong = (index: number) => basicOf("ann", `wrong password ${index}`);
    for (let index = 0; index < 5; index++) assert.equal(await logIn(CALLER, wrong(index)), 401);
    assert.equal(await logIn(CALLER, server.ann.basic), 429);
    // Made up in front of the address that the proxy appends, another one is no way around.
    assert.equal(await logIn(`6.6.6.6, ${CALLER}`, server.ann.basic), 429);
    assert.equal(await logIn("192.0.2.8", server.ann.basic), 200);
  }));

test("a caller known from one address is not known from another by that", () =>
  withProxies(HERE, async (server) => {
    const wire = openWire("gRPC", server);
    const client = wire.client(SessionService);
    const from = (address: string, authorization?: string) =>
      client.getCurrentSession(
        {},
        { headers: { "x-forwarded-for": address, ...(authorization && { authorization }) } },
      );
    try {
      const one = await from(CALLER, server.ann.bearer);
      const other = await from("192.0.2.8", server.ann.bearer);
      const again = await from(CALLER, server.ann.bearer);
      const ids = [one, other, again].map(({ session }) => session?.sessionId);
      assert.equal(ids[0], ids[2]);
      assert.notEqual(ids[0], ids[1]);
      await assert.rejects(from(CALLER));
    } finally {
      wire.close();
    }
  }));

test("headers that no proxy would write are answered like a call without them", () =>
  withProxies(HERE, async (server) => {
    const authorization = server.ann.bearer;
    const odd = [
      { "X-Forwarded-For": "" },
      { "X-Forwarded-For": ",".repeat(8_000) },
      { "X-Forwarded-For": "\u00ff\u0080%00" },
      { Forwarded: 'for="' },
      { Forwarded: '="";;,,=for\\' },
      { Forwarded: "for=[::1" },
    ];
    for (const headers of odd) {
      const { status, id } = await getSession(server, { authorization, ...headers });
      assert.deepEqual([status, addressIn(id)], [200, "the peer"], JSON.stringify(headers));
    }
  }));
