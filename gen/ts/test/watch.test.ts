import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { eventually } from "../../../test/support/eventually.js";
import { startServer } from "../../../test/support/process/server.js";
import { ErrorInfoSchema, RetryInfoSchema } from "../google/rpc/error_details_pb.js";
import {
  SessionService,
  type WatchSessionsResponse,
  type WatchSessionsResponseSchema,
} from "../latchkey/session/v1/session_service_pb.js";
import { createLatchkey } from "../src/index.js";
import { watchSessions } from "../src/watch.js";

type Response = MessageInitShape<typeof WatchSessionsResponseSchema>;
/** What a server does with one call of WatchSessions. */
type Call = readonly (Response | ConnectError)[];

/** Watches a server that answers its calls so; answers what the watch tells and what was asked. */
async function watch(calls: readonly Call[], resumeRevision?: bigint) {
  const asked: (bigint | undefined)[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(SessionService, {
      async *watchSessions(request) {
        asked.push(request.resumeRevision);
        for (const one of calls[asked.length - 1] ?? []) {
          if (one instanceof ConnectError) throw one;
          yield one;
        }
        if (asked.length === calls.length) throw theEnd;
      },
    }),
  );
  const told: WatchSessionsResponse[] = [];
  const waits: number[] = [];
  const parts = { random: () => 1, sleep: async (wait: number) => void waits.push(wait) };
  const request = { app: "shop", ...(resumeRevision !== undefined && { resumeRevision }) };
  const sessions = createClient(SessionService, transport);
  await assert.rejects(
    async () => {
      for await (const one of watchSessions(sessions, request, {}, parts)) told.push(one);
    },
    { code: Code.PermissionDenied, reason: "FORBIDDEN" },
  );
  return { told: told.map(({ content }) => content.case), asked, waits };
}

const latchkeySays = (code: Code, reason: string) =>
  new ConnectError(reason, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain: "latchkey" } },
  ]);
const theEnd = latchkeySays(Code.PermissionDenied, "FORBIDDEN");
const snapshot: Response = { content: { case: "snapshot", value: {} } };
const snapshotEnd: Response = { revision: 5n, content: { case: "snapshotEnd", value: {} } };
const events: Response = { revision: 6n, content: { case: "events", value: {} } };
const reset: Response = { content: { case: "reset", value: {} } };
const unavailable = new ConnectError("stopping", Code.Unavailable);
const slow = latchkeySays(Code.ResourceExhausted, "LIMIT");

test("a watch goes on after what it told last, wherever it was cut", async () => {
  const { told, asked } = await watch([
    [snapshot, snapshotEnd, events, unavailable],
    [unavailable],
    [{ ...events, revision: 7n }, slow],
    [events],
    [],
  ]);
  assert.deepEqual(told, ["snapshot", "snapshotEnd", "events", "events", "events"]);
  assert.deepEqual(asked, [undefined, 6n, 6n, 7n, 6n]);
});

test("a watch goes on after any break that Latchkey did not explain, as proxies make them", async () => {
  const codes = [Code.Internal, Code.Unknown, Code.Canceled, Code.Unauthenticated, Code.DataLoss];
  const cuts = codes.map((code) => [events, new ConnectError("a proxy's words", code)]);
  const { told } = await watch([...cuts, []]);
  assert.equal(told.length, codes.length);
});

test("a watch goes on when an overloaded server takes it up again, as late as that asks", async () => {
  const overloaded = new ConnectError("overloaded", Code.ResourceExhausted, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "OVERLOADED", domain: "latchkey" } },
    { desc: RetryInfoSchema, value: { retryDelay: { seconds: 7n } } },
  ]);
  const { told, asked, waits } = await watch([[overloaded], [events, overloaded], []]);
  assert.deepEqual(waits, [7_000, 7_000]);
  assert.deepEqual(told, ["events"]);
  assert.deepEqual(asked, [undefined, undefined, 6n]);
});

test("a watch that is refused for a limit before it was told anything ends", async () => {
  const transport = createRouterTransport(({ service }) =>
    service(SessionService, {
      // biome-ignore lint/correctness/useYield: it tells nothing.
      async *watchSessions() {
        throw slow;
      },
    }),
  );
  const sessions = createClient(SessionService, transport);
  await assert.rejects(watchSessions(sessions, { app: "shop" }).next(), { reason: "LIMIT" });
});

test("a watch of a server that is not Latchkey ends", async () => {
  const transport = createRouterTransport(() => undefined);
  const sessions = createClient(SessionService, transport);
  await assert.rejects(watchSessions(sessions, { app: "shop" }).next(), {
    code: Code.Unimplemented,
  });
});

test("a watch ends when its time is over", async (t) => {
  const latchkey = createLatchkey({ address: (await server).grpc });
  t.after(() => latchkey.close());
  await assert.rejects(
    async () => {
      for await (const _ of latchkey.watch({ app: "shop" }, { timeoutMs: 100 }));
    },
    { code: Code.DeadlineExceeded },
  );
});

test("a watch that is cut in its snapshot is told to forget it", async () => {
  const { told, asked } = await watch([
    [snapshot, unavailable],
    [reset, snapshot, snapshotEnd],
  ]);
  assert.deepEqual(told, ["snapshot", "reset", "snapshot", "snapshotEnd"]);
  assert.deepEqual(asked, [undefined, 0n]);
});

test("a watch begins where the caller says", async () => {
  const { asked } = await watch([[unavailable], []], 3n);
  assert.deepEqual(asked, [3n, 3n]);
});

test("the waits grow up to 10 s, and begin anew when something was told", async () => {
  const down = Array.from({ length: 8 }, () => [unavailable]);
  const { waits } = await watch([...down, [events, unavailable], [unavailable], []]);
  const growing = [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
  assert.deepEqual(waits, [...growing, 200, 200]);
});

const server = startServer({ after }, { LATCHKEY_STORE: "memory:" });

for (const transport of ["grpc", "connect"] as const) {
  test(`a watch whose loop is left ends at the server, too, over ${transport}`, async (t) => {
    const { grpc, http } = await server;
    const watchers = async () => {
      const text = await (await fetch(`http://${http}/metrics`)).text();
      return Number(/^latchkey_watch_watchers (\d+)$/m.exec(text)?.[1]);
    };
    const address = transport === "grpc" ? grpc : http;
    const latchkey = createLatchkey({ address, transport });
    t.after(() => latchkey.close());
    for await (const { content } of latchkey.watch({ app: "shop" })) {
      if (content.case !== "snapshotEnd") continue;
      await eventually("the watch", async () => (await watchers()) === 1);
      break;
    }
    await eventually("the end of the watch", async () => (await watchers()) === 0);
  });
}
