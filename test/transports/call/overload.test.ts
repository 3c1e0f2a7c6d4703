import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { Client, credentials } from "@grpc/grpc-js";
import { ErrorInfoSchema, RetryInfoSchema } from "../../../gen/ts/google/rpc/error_details_pb.js";
import { RkeService } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { createLoadGate } from "../../../src/transports/call/load-gate.js";
import { type Listeners, withListeners } from "../../support/transports/listeners.js";
import { JSON_TYPE, openRest, type Rest } from "../../support/transports/rest.js";
import { type Wire, withWires } from "../../support/transports/wires.js";

/** Runs `body` with clients of listeners whose gate is open or shut as the test says. */
async function withGate(
  body: (
    trial: Listeners & { readonly rest: Rest; readonly shut: (isShut: boolean) => void },
  ) => Promise<void>,
): Promise<void> {
  let isShut = true;
  await withListeners({ gate: { admits: () => !isShut } }, async (listeners) => {
    const rest = openRest(listeners.http);
    const shut = (value: boolean) => {
      isShut = value;
    };
    try {
      await body({ ...listeners, rest, shut });
    } finally {
      rest.close();
    }
  });
}

/** Throws unless the call was refused because of overload, with all that says when to try again. */
async function assertOverloaded(wire: Wire, call: Promise<unknown>): Promise<void> {
  const error = ConnectError.from(
    await call.then(
      () => assert.fail(`${wire.name}: answered`),
      (reason: unknown) => reason,
    ),
  );
  assert.equal(error.code, Code.ResourceExhausted, wire.name);
  assert.match(error.rawMessage, /more calls than it can answer in time/, wire.name);
  assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "OVERLOADED", wire.name);
  assert.equal(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds, 1n, wire.name);
  if (wire.name !== "gRPC") assert.equal(error.metadata.get("retry-after"), "1", wire.name);
}

const streamOf = async (responses: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of responses);
};

test("typed calls that are too many are refused with the time to wait, and served when there is room", () =>
  withGate(({ shut, ...listeners }) =>
    withWires(listeners, async (wires) => {
      for (const wire of wires) {
        const sessions = wire.client(SessionService);
        const create = () => sessions.createSession({ app: "shop", userId: "ann" });
        shut(true);
        await assertOverloaded(wire, create());
        await assertOverloaded(wire, streamOf(sessions.watchSessions({ app: "shop" })));
        await assertOverloaded(wire, wire.client(RkeService).listSessions({}));
        shut(false);
        assert.equal((await create()).session?.userId, "ann");
      }
    }),
  ));

test("a stream of requests that is too much is refused", () =>
  withGate((listeners) =>
    withWires(listeners, async ([wire]) => {
      assert.ok(wire?.name === "gRPC");
      const requests = async function* () {
        yield {};
      };
      await assertOverloaded(wire, streamOf(wire.client(RkeService).encryptStream(requests())));
    }),
  ));

const MESSAGE =
  "the server has more calls than it can answer in time, and did nothing for this one: try again later";
const REST = { name: "overloaded", message: MESSAGE };
const RKE = { error: true, message: MESSAGE, code: 503 };
const CONNECT = "/latchkey.session.v1.SessionService/GetSession";

for (const [method, path, body, status, expected] of [
  ["GET", "/shop/get/x", undefined, 503, REST],
  ["PUT", "/shop/create/ann?ip=::1", { a: "x".repeat(50_000) }, 503, REST],
  ["POST", "/shop/set/x", { a: 1 }, 503, REST],
  ["GET", "/session", undefined, 503, REST],
  ["GET", "/nowhere", undefined, 503, REST],
  ["GET", "/livez/x", undefined, 503, REST],
  ["GET", "/api/rke/sessions", undefined, 503, RKE],
  ["POST", "/api/rke/encrypt", { session_id: "x" }, 503, RKE],
  ["POST", CONNECT, { app: "shop" }, 429, { code: "resource_exhausted", message: MESSAGE }],
] as const) {
  test(`what is too much is refused in the form of its API, and its connection serves on: ${method} ${path}`, () =>
    withGate(async ({ rest, shut }) => {
      const answer = await rest.send(method, path, body);
      assert.equal(answer.status, status);
      assert.equal(answer.headers["retry-after"], "1");
      assert.equal(answer.headers["content-length"], `${answer.bytes.length}`);
      const { details: _, ...shown } = JSON.parse(answer.text);
      assert.deepEqual(shown, expected);
      if (status === 503) assert.equal(answer.headers["content-type"], JSON_TYPE);
      shut(false);
      assert.equal((await rest.send("GET", "/ping")).status, 200);
    }));
}

test("health and metrics are answered however many calls are refused", () =>
  withGate(async ({ rest, grpc }) => {
    for (const path of ["/livez", "/readyz", "/readyz/", "/metrics?x=1", "/ping"]) {
      assert.equal((await rest.call("GET", path)).status, 200, path);
    }
    const client = new Client(grpc, credentials.createInsecure());
    const same = (bytes: Buffer) => bytes;
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      const path = "/grpc.health.v1.Health/Check";
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), (error, bytes) =>
        error ? reject(error) : resolve(bytes),
      );
    });
    client.close();
    assert.deepEqual([...(answer ?? [])], [8, 1]); // SERVING
  }));

test("refused calls are counted by wire, and are no calls of any method", () =>
  withGate(({ rest, ...listeners }) =>
    withWires(listeners, async (wires) => {
      await rest.call("GET", "/shop/get/x");
      for (const wire of wires) {
        const call = wire.client(SessionService).getSession({ app: "shop", token: "x" });
        await assertOverloaded(wire, call);
      }
      const { text } = await rest.call("GET", "/metrics");
      const lines = text.split("\n").filter((line) => line.startsWith("latchkey_refused_total{"));
      assert.deepEqual(lines.toSorted(), [
        'latchkey_refused_total{transport="connect",reason="event_loop"} 3',
        'latchkey_refused_total{transport="grpc",reason="event_loop"} 1',
        'latchkey_refused_total{transport="http",reason="event_loop"} 1',
      ]);
      assert.equal(text.includes("latchkey_calls_total{"), false);
    }),
  ));

/** The statuses of the answers to so many requests that arrive together. */
function pipeline(address: string, requests: number): Promise<string[]> {
  const [host = "", port] = address.split(":");
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connectTcp({ host, port: Number(port) }, () =>
      socket.write("GET /shop/get/x HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(requests)),
    );
    socket.setTimeout(20_000, () => socket.destroy(new Error(`silent after ${text}`)));
    socket.on("error", reject).on("data", (bytes) => {
      text += bytes;
      const statuses = text.match(/HTTP\/1\.1 \d+/g) ?? [];
      if (statuses.length < requests || !text.endsWith("}")) return;
      socket.destroy();
      resolve(statuses.map((status) => status.slice(-3)));
    });
  });
}

test("of calls that arrive together a busy server answers the first, and all of them when it has time again", async () => {
  let now = 0;
  let idle = 0;
  let judge = () => {};
  const gate = createLoadGate({
    turnCalls: 4,
    clock: () => now,
    idle: () => idle,
    spent: () => now,
    every: (_, work) => {
      judge = work;
    },
    afterTurn: setImmediate,
  });
  await withListeners({ gate }, async ({ http }) => {
    // 400: what they ask is wrong, which only one who is heard is told.
    const [heard, refused] = [
      (n: number) => Array(n).fill("400"),
      (n: number) => Array(n).fill("503"),
    ];
    for (let interval = 0; interval <= 20; interval++) {
      assert.deepEqual(await pipeline(http, 10), heard(10));
      now += 100;
      judge();
    }
    assert.deepEqual(await pipeline(http, 10), [...heard(4), ...refused(6)]);
    assert.deepEqual(await pipeline(http, 10), [...heard(4), ...refused(6)]);
    now += 100;
    idle += 100;
    judge();
    assert.deepEqual(await pipeline(http, 10), heard(10));
  });
});
