import assert from "node:assert/strict";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { after, before, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { type Guarded, startGuarded } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { beginMessage, openHalfCalls } from "../../support/transports/half-call.js";

let server: Guarded;
before(async () => {
  server = await startGuarded({ publicParts: [] });
});
after(() => server.close());

const SESSIONS = "/latchkey.session.v1.SessionService";
const RKE = "/latchkey.rke.v1.RkeService";

/** One of each kind of call, and what is public by default or may be made so. */
const PATHS = [
  `${SESSIONS}/CreateSession`,
  `${SESSIONS}/WatchSessions`,
  `${SESSIONS}/Nothing`,
  `${RKE}/Encrypt`,
  `${RKE}/EncryptStream`,
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
  "/grpc.health.v1.Health/List",
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
  "/nowhere",
];

for (const path of PATHS) {
  test(`a stranger is refused before a message has come: ${path}`, async () => {
    const calls = openHalfCalls(server.grpc);
    try {
      const wrong = { authorization: `${server.ann.bearer}x` };
      for (const [bytes, headers] of [
        [Buffer.alloc(0), {}],
        [Buffer.alloc(3), {}],
        [beginMessage(), {}],
        [beginMessage(), wrong],
      ] as const) {
        const { code, message, details } = await calls.begin(path, bytes, headers).answer;
        assert.equal(code, status.UNAUTHENTICATED);
        assert.match(message, /credentials/);
        assert.ok(details);
      }
    } finally {
      calls.close();
    }
  });
}

test("a stranger's calls do not disturb those of a caller on the same connection", async () => {
  const calls = openHalfCalls(server.grpc);
  try {
    const path = `${SESSIONS}/GetCurrentSession`;
    const known = { authorization: server.ann.bearer };
    const half = calls.begin(path, Buffer.alloc(3), known);
    await calls.begin(path, beginMessage()).answer;
    half.write(Buffer.alloc(2));
    // A whole message is there; the call waits for the end of the request.
    await calls.begin(path, beginMessage()).answer;
    half.cancel();
    await assert.rejects(half.answer);
  } finally {
    calls.close();
  }
});

test("a stranger's connection may have 32 calls at a time, and 1,024 once its caller is known", async () => {
  const calls = openHalfCalls(server.grpc);
  try {
    await calls.begin("/nowhere", beginMessage()).answer;
    assert.equal(calls.mostCalls(), 32);
    const known = { authorization: server.ann.bearer };
    await calls.begin(`${SESSIONS}/GetSession`, Buffer.alloc(5), known).answer;
    await eventually("leave", () => calls.mostCalls() === 1_024);
  } finally {
    calls.close();
  }
});

test("a request without a path is refused, and the server lives", async () => {
  const session = connect(`http://${server.grpc}`);
  const stream = session.request({ ":method": "CONNECT", ":authority": "localhost" });
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    stream.on("response", resolve).on("error", reject);
  });
  session.destroy();
  assert.equal(Number(headers["grpc-status"]), status.UNAUTHENTICATED);
});

test("refused strangers are counted", async () => {
  const calls = openHalfCalls(server.grpc);
  await calls.begin("/nowhere", beginMessage()).answer;
  calls.close();
  const headers = { authorization: server.ann.bearer };
  const text = await (await fetch(`http://${server.http}/metrics`, { headers })).text();
  assert.match(text, /calls_total\{transport="grpc",method="unknown",code="UNAUTHENTICATED"\} \d/);
});
