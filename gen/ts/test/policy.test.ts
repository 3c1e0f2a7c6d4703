import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../google/rpc/error_details_pb.js";
import {
  CreateSessionRequestSchema,
  SessionService,
} from "../latchkey/session/v1/session_service_pb.js";
import { LatchkeyError } from "../src/error.js";
import { type PolicyOptions, withPolicy } from "../src/policy.js";

/** A client of a server that does `impl`, with a clock that only waiting moves. */
function openClient(
  impl: Partial<ServiceImpl<typeof SessionService>>,
  options: PolicyOptions = {},
) {
  const waits: number[] = [];
  let now = 0;
  const transport = createRouterTransport(({ service }) => service(SessionService, impl));
  const policy = withPolicy(transport, options, {
    now: () => now,
    random: () => 0.5,
    sleep: async (wait) => {
      waits.push(wait);
      now += wait;
    },
  });
  return { sessions: createClient(SessionService, policy), waits };
}

const unavailable = () => new ConnectError("try later", Code.Unavailable);

test("a write gets a request_id, the same for each attempt, and the caller's message stays as it is", async () => {
  const ids: string[] = [];
  const { sessions } = openClient({
    createSession({ requestId }) {
      ids.push(requestId);
      if (ids.length < 3) throw unavailable();
      return {};
    },
  });
  const request = create(CreateSessionRequestSchema, { app: "shop", userId: "ann" });
  await sessions.createSession(request);
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
  assert.match(ids[0] ?? "", /^[0-9a-f]{32}$/);
  assert.equal(request.requestId, "");
  await sessions.createSession(request);
  assert.notEqual(ids[3], ids[0]);
  await sessions.createSession({ requestId: "the caller's own" });
  assert.equal(ids[4], "the caller's own");
});

test("a read is made four times at most, the waits between growing", async () => {
  let calls = 0;
  const { sessions, waits } = openClient({
    getSession() {
      calls++;
      throw unavailable();
    },
  });
  const error = await sessions.getSession({}).catch((error: unknown) => error);
  assert.ok(error instanceof LatchkeyError);
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.message, "try later");
  assert.equal(calls, 4);
  assert.deepEqual(waits, [100, 200, 400]);
});

test("nothing is made again that would begin after the deadline", async () => {
  let calls = 0;
  const impl = {
    getSession() {
      calls++;
      throw unavailable();
    },
  };
  const { sessions } = openClient(impl, { deadline: 250 });
  await assert.rejects(sessions.getSession({}), { code: Code.Unavailable });
  assert.equal(calls, 2);
  await assert.rejects(sessions.getSession({}, { timeoutMs: 90 }), { code: Code.Unavailable });
  assert.equal(calls, 3);
});

test("a write that cannot have a request_id is made once", async () => {
  let calls = 0;
  const { sessions } = openClient({
    setAppPolicy() {
      calls++;
      throw unavailable();
    },
  });
  await assert.rejects(sessions.setAppPolicy({}), { code: Code.Unavailable });
  assert.equal(calls, 1);
});

test("where the server says when to come again, that is when; else a limit is final", async () => {
  const limit = (...retryDelays: number[]) =>
    new ConnectError("too many", Code.ResourceExhausted, undefined, [
      { desc: ErrorInfoSchema, value: { reason: "LIMIT", domain: "latchkey" } },
      ...retryDelays.map((ms) => ({
        desc: RetryInfoSchema,
        value: { retryDelay: durationFromMs(ms) },
      })),
    ]);
  const failures = [limit(1_500), limit()];
  const { sessions, waits } = openClient({
    getSession() {
      throw failures.shift() ?? new Error("called too often");
    },
  });
  await assert.rejects(sessions.getSession({}), { code: Code.ResourceExhausted, reason: "LIMIT" });
  assert.deepEqual(waits, [1_500]);
});

test("a call that is cancelled is not made again", async () => {
  const abort = new AbortController();
  let calls = 0;
  const { sessions } = openClient({
    getSession() {
      calls++;
      abort.abort();
      throw unavailable();
    },
  });
  await assert.rejects(sessions.getSession({}, { signal: abort.signal }), { code: Code.Canceled });
  assert.equal(calls, 1);
});

test("the key goes with every call, beside the caller's own headers", async () => {
  const seen: (string | null)[] = [];
  const impl: Partial<ServiceImpl<typeof SessionService>> = {
    getSession(_, { requestHeader }) {
      seen.push(requestHeader.get("authorization"), requestHeader.get("x-own"));
      return {};
    },
    async *watchSessions(_, { requestHeader }) {
      seen.push(requestHeader.get("authorization"));
      yield {};
    },
  };
  const { sessions } = openClient(impl, { key: "lk_key" });
  await sessions.getSession({}, { headers: { "x-own": "1" } });
  for await (const _ of sessions.watchSessions({}));
  assert.deepEqual(seen, ["Bearer lk_key", "1", "Bearer lk_key"]);
});
