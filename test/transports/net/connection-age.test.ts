import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  GetCurrentSessionResponseSchema,
  SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { createConnectionAges } from "../../../src/transports/net/connection-age.js";
import { type Guarded, withGuarded } from "../../support/accounts.js";

/** Milliseconds; a connection lives for up to a tenth more. */
const AGE = 200;

describe("the age of a connection", () => {
  const setUp = (maxAge: number | null, random: number) => {
    const clock = { at: 5_000 };
    const ages = createConnectionAges({ maxAge, clock: () => clock.at, random: () => random });
    return { clock, ages };
  };

  for (const [random, end] of [
    [0, 900],
    [0.5, 1_000],
    [1, 1_100],
  ] as const) {
    test(`is over ${end} ms after its begin where the limit is 1,000 and chance is ${random}`, () => {
      const { clock, ages } = setUp(1_000, random);
      const [one, other] = [{}, {}];
      ages.add(one);
      clock.at += end - 1;
      assert.equal(ages.isOver(one), false);
      ages.add(other);
      clock.at += 1;
      assert.equal(ages.isOver(one), true);
      assert.equal(ages.isOver(other), false);
    });
  }

  test("has no end where there is no limit", () => {
    const { clock, ages } = setUp(null, 0);
    const one = {};
    ages.add(one);
    clock.at = Number.MAX_SAFE_INTEGER;
    assert.equal(ages.isOver(one), false);
  });
});

/** Requests by kept connections: how each was answered, and whether by a connection used before. */
function openHttp({ http }: Guarded) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = (method: string, path: string, headers = {}, body?: string) =>
    new Promise<{ answer: IncomingMessage; reused: boolean }>((resolve, reject) => {
      const sent = request(`http://${http}${path}`, { agent, method, headers }, (answer) => {
        answer.resume().on("end", () => resolve({ answer, reused: sent.reusedSocket }));
      });
      sent.on("error", reject).end(body);
    });
  return { send, close: () => agent.destroy() };
}

const RPC = `/${SessionService.typeName}/GetCurrentSession`;
/** Of each way in which an answer is made. */
const REQUESTS: readonly [title: string, method: string, path: string, body?: string][] = [
  ["a path of rest-sessions", "GET", "/shop/activity?dt=60"],
  ["an operation's path", "GET", "/livez"],
  ["an RPC", "POST", RPC, "{}"],
  ["a refusal", "GET", "/no/such/path"],
];

for (const [title, method, path, body] of REQUESTS) {
  test(`an answer to ${title} closes a connection past its age, and not before`, () =>
    withGuarded(
      async (server) => {
        const { send, close } = openHttp(server);
        const headers = {
          authorization: server.ann.bearer,
          ...(body && { "content-type": "application/json" }),
        };
        try {
          const began = performance.now();
          let connections = 0;
          let closed = 0;
          while (closed < 3) {
            const { answer, reused } = await send(method, path, headers, body);
            if (!reused) connections++;
            if (answer.headers.connection === "close") closed++;
            else assert.equal(answer.headers.connection, "keep-alive");
            assert.ok(connections - closed <= 1 && closed <= connections);
          }
          assert.equal(connections, 3);
          assert.ok(performance.now() - began >= 3 * AGE * 0.9);
        } finally {
          close();
        }
      },
      { maxConnectionAge: AGE },
    ));
}

test("a gRPC client is sent on past its connection's age, while its streams go on", () =>
  withGuarded(
    async ({ grpc }) => {
      const session = connectHttp2(`http://${grpc}`);
      const watch = session.request({
        ":method": "POST",
        ":path": "/grpc.health.v1.Health/Watch",
        "content-type": "application/grpc",
        te: "trailers",
      });
      watch.end(Buffer.alloc(5));
      await once(watch, "data");
      const [code] = await once(session, "goaway");
      assert.equal(code, 0);
      // The stream is open and the server's.
      assert.equal(watch.closed, false);
      const next = connectHttp2(`http://${grpc}`);
      await once(next, "remoteSettings");
      assert.equal(watch.closed, false);
      next.destroy();
      session.destroy();
    },
    { maxConnectionAge: AGE },
  ));

/** The session that the server takes a call for, which is another on every connection. */
function sessionOf(client: Client, authorization: string): Promise<string> {
  const metadata = new Metadata();
  metadata.set("authorization", authorization);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      RPC,
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes) => fromBinary(GetCurrentSessionResponseSchema, bytes).session?.sessionId ?? "",
      new Uint8Array(),
      metadata,
      (error, id) => (error ? reject(error) : resolve(id ?? "")),
    );
  });
}

test("no gRPC call is lost when connections are made anew", () =>
  withGuarded(
    async ({ grpc, ann }) => {
      const client = new Client(grpc, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
      });
      const seen = new Set<string>();
      const caller = async () => {
        while (seen.size < 6) seen.add(await sessionOf(client, ann.bearer));
      };
      try {
        await Promise.all(Array.from({ length: 16 }, caller));
      } finally {
        client.close();
      }
    },
    { maxConnectionAge: AGE },
  ));
