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
  UpdateSessionRequestSchema,
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
  const pass = (milliseconds: number) => {
    now += milliseconds;
  };
  return { sessions: createClient(SessionService, policy), waits, pass };
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

test("a read is made again until its deadline, the waits growing up to a second", async () => {
  const { sessions, waits } = openClient({
    getSession() {
      throw unavailable();
    },
  });
  const error = await sessions.getSession({}).catch((error: unknown) => error);
  assert.ok(error instanceof LatchkeyError);
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.message, "try later");
  assert.deepEqual(waits, [100, 200, 400, ...Array.from({ length: 8 }, () => 500)]);
});

test("a read that a proxy broke is made again; a failure that Latchkey explained is not", async () => {
  const explained = new ConnectError("a fault", Code.Internal, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "INTERNAL", domain: "latchkey" } },
  ]);
  const failures = [
    new ConnectError("RST_STREAM", Code.Internal),
    new ConnectError("502", Code.Unknown),
    explained,
  ];
  const { sessions, waits } = openClient({
    getSession() {
      throw failures.shift() ?? new Error("called too often");
    },
  });
  await assert.rejects(sessions.getSession({}), { code: Code.Internal, reason: "INTERNAL" });
  assert.equal(waits.length, 2);
});

test("while the server is silent, calls fail at once but for one a second", async () => {
  let calls = 0;
  let isSilent = true;
  const { sessions, pass } = openClient({
    getSession() {
      calls++;
      if (!isSilent) return {};
      pass(5_000);
      throw new ConnectError("no answer", Code.DeadlineExceeded);
    },
  });
  const get = () => sessions.getSession({}).then(String, ({ code }: LatchkeyError) => Code[code]);
  assert.equal(await get(), "DeadlineExceeded");
  assert.deepEqual([await get(), await get()], ["Unavailable", "Unavailable"]);
  assert.equal(calls, 1);
  pass(1_000);
  assert.equal(await get(), "DeadlineExceeded");
  assert.equal(await get(), "Unavailable");
  assert.equal(calls, 2);
  isSilent = false;
  pass(1_000);
  await sessions.getSession({});
  await sessions.getSession({});
  assert.equal(calls, 4);
});

test("data goes as JSON says it: Dates as texts, undefined left out, null kept", async () => {
  const seen: unknown[] = [];
  const { sessions } = openClient({
    updateSession({ data }) {
      seen.push(data);
      return {};
    },
  });
  const data = { at: new Date(0), gone: undefined, removed: null, list: [1, { a: "😀" }] };
  await sessions.updateSession({ data: data as never });
  await sessions.updateSession(create(UpdateSessionRequestSchema, { data: data as never }));
  const json = JSON.parse(JSON.stringify(data)) as unknown;
  assert.deepEqual(seen, [json, json]);
});

test("data that JSON cannot say is refused before anything is sent, and its field is named", async () => {
  let calls = 0;
  const { sessions } = openClient({
    createSession() {
      calls++;
      return {};
    },
  });
  const circle: { inner?: unknown } = {};
  circle.inner = circle;
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ a: { b: 1n } }, /^data\.a\.b$/],
    [{ f: () => 1 }, /^data\.f$/],
    [{ s: Symbol("s") }, /^data\.s$/],
    [{ n: Number.NaN }, /^data\.n$/],
    [{ n: Number.POSITIVE_INFINITY }, /^data\.n$/],
    [{ list: [1, undefined] }, /^data\.list\[1\]$/],
    [{ m: new Map([[1, 2]]) }, /^data\.m$/],
    [{ half: "\ud83d" }, /^data\.half$/],
    [{ "\ud83d": 1 }, /^data$/],
    [{ p: JSON.parse('{"__proto__":1}') }, /^data\.p$/],
    [circle, /^data(\.inner)+$/],
    [[1], /^data$/],
  ];
  for (const [data, field] of cases) {
    const error = await sessions.createSession({ data: data as never }).catch((error) => error);
    assert.ok(error instanceof LatchkeyError, String(field));
    assert.equal(error.code, Code.InvalidArgument);
    assert.match(error.fields.join(), field);
  }
  assert.equal(calls, 0);
});

test("what is answered can be written by JSON.stringify, and so can its parts", async () => {
  const { sessions } = openClient({
    getSession: () => ({ session: { userId: "ann", reads: 5n, idleTtl: { seconds: 7_200n } } }),
  });
  const { session } = await sessions.getSession({});
  const json = JSON.parse(JSON.stringify({ session })) as { session: Record<string, unknown> };
  assert.equal(json.session["userId"], "ann");
  assert.equal(json.session["reads"], "5");
  assert.equal(JSON.stringify(session?.idleTtl), '"7200s"');
  assert.equal(session?.reads, 5n);
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
