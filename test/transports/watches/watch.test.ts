import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { SessionEventType } from "../../../gen/ts/latchkey/session/v1/watch_pb.js";
import { eventually } from "../../support/eventually.js";
import { assertRefused } from "../../support/transports/case.js";
import { openRest } from "../../support/transports/rest.js";
import {
  NOW,
  SECOND,
  STORES,
  startServer,
  type TestServer,
} from "../../support/transports/server.js";
import { openWatcher, tell } from "../../support/transports/watcher.js";
import { openWire, WIRES, type Wire } from "../../support/transports/wires.js";

async function metric({ http }: TestServer, name: string): Promise<number> {
  const rest = openRest(http);
  const { text } = await rest.call("GET", "/metrics");
  rest.close();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1));
}

/** Waits until the server knows of so many watchers. */
const watchers = (server: TestServer, count: number) =>
  eventually(
    `${count} watchers`,
    async () => (await metric(server, "latchkey_watch_watchers")) === count,
  );

for (const store of STORES) {
  for (const wireName of WIRES) {
    describe(`a watch over ${wireName}, in ${store}`, () => {
      let server: TestServer;
      let wire: Wire;
      let client: Client<typeof SessionService>;
      before(async () => {
        server = await startServer(store);
        wire = openWire(wireName, server);
        client = wire.client(SessionService);
      });
      after(async () => {
        wire.close();
        await server.close();
      });

      const add = async (app: string, userId = "ann", idleTtl = 3_600n) => {
        const created = await client.createSession({ app, userId, idleTtl: { seconds: idleTtl } });
        return { token: created.token, id: created.session?.sessionId ?? "" };
      };

      test("begins with the live sessions and goes on with what happens", async () => {
        const [first, second] = [await add("fresh"), await add("fresh", "bob")];
        await add("other");
        const watcher = openWatcher(wire, { app: "fresh" });
        await watcher.caughtUp();
        assert.deepEqual(watcher.kinds(), ["snapshot", "snapshotEnd", "progress"]);
        assert.deepEqual(watcher.snapshot().toSorted(), [first.id, second.id].toSorted());
        assert.deepEqual([watcher.responses[0]?.revision], [0n]);

        const third = await add("fresh");
        await add("other");
        await client.updateSession({ app: "fresh", token: third.token, data: { a: 1 } });
        const target = { case: "token", value: first.token } as const;
        await client.deleteSession({ app: "fresh", target });
        await client.deleteUserSessions({ app: "fresh", userId: "bob" });
        await client.deleteAppSessions({ app: "fresh" });
        await watcher.until("the events", () => watcher.events().length === 5);
        assert.deepEqual(
          watcher.events().map((event) => [tell(event), event.sessionId, event.userId]),
          [
            ["CREATED", third.id, "ann"],
            ["UPDATED", third.id, "ann"],
            ["ENDED: DELETED", first.id, "ann"],
            ["ENDED: USER", second.id, "bob"],
            ["ENDED: APP", third.id, "ann"],
          ],
        );
        const revisions = watcher.events().map(({ revision }) => revision);
        assert.deepEqual(
          revisions,
          revisions.map((_, n) => (revisions[0] ?? 0n) + BigInt(n)),
        );
        assert.equal(watcher.revision(), revisions.at(-1));
        assert.deepEqual(
          watcher.events().map(({ version }) => version),
          [1n, 2n, 1n, 1n, 2n],
        );
        watcher.cut();
        assert.equal((await watcher.ended)?.code, Code.Canceled);
        await watchers(server, 0);
      });

      test("of a user tells of that user alone", async () => {
        const [own] = [await add("users"), await add("users", "bob")];
        const watcher = openWatcher(wire, { app: "users", userId: "ann" });
        await watcher.caughtUp();
        assert.deepEqual(watcher.snapshot(), [own.id]);
        await add("users", "bob");
        const another = await add("users");
        await watcher.until("the event", () => watcher.events().length === 1);
        assert.deepEqual(watcher.events()[0]?.sessionId, another.id);
        watcher.cut();
      });

      test("that was cut resumes with what it missed, and nothing else", async () => {
        const cut = openWatcher(wire, { app: "resumed" });
        await cut.caughtUp();
        const seen = await add("resumed");
        await cut.until("the event", () => cut.events().length === 1);
        cut.cut();
        await cut.ended;
        const missed = await add("resumed", "bob");
        const target = { case: "sessionId", value: seen.id } as const;
        await client.deleteSession({ app: "resumed", target });

        const resumeRevision = cut.revision();
        const again = openWatcher(wire, { app: "resumed", resumeRevision });
        const ofBob = openWatcher(wire, { app: "resumed", userId: "bob", resumeRevision });
        await Promise.all([again.caughtUp(), ofBob.caughtUp()]);
        assert.deepEqual(again.kinds(), ["events", "progress"]);
        assert.deepEqual(again.events().map(tell), ["CREATED", "ENDED: DELETED"]);
        assert.deepEqual(
          ofBob.events().map(({ sessionId }) => sessionId),
          [missed.id],
        );
        const current = openWatcher(wire, { app: "resumed", resumeRevision: again.revision() });
        await current.caughtUp();
        assert.deepEqual(current.kinds(), ["progress"]);
        for (const one of [again, ofBob, current]) one.cut();
      });

      test("that resumes from what is not kept, or was never told, is told so", async () => {
        const { id } = await add("stale");
        const first = openWatcher(wire, { app: "stale" });
        await first.caughtUp();
        const latest = first.revision();
        for (const resumeRevision of [0n, latest - 1n, latest + 1n, 2n ** 53n - 1n]) {
          const watcher = openWatcher(wire, { app: "stale", resumeRevision });
          await watcher.caughtUp();
          assert.deepEqual(watcher.kinds(), ["reset", "snapshot", "snapshotEnd", "progress"]);
          assert.deepEqual(watcher.snapshot(), [id]);
          assert.equal(watcher.responses[0]?.revision, 0n);
          assert.equal(watcher.revision(), latest);
          watcher.cut();
        }
        first.cut();
      });

      test("tells of touches who asks for them, those of a moment together", async () => {
        const { token, id } = await add("touched");
        const asking = openWatcher(wire, { app: "touched", includeTouches: true });
        const other = openWatcher(wire, { app: "touched" });
        await Promise.all([asking.caughtUp(), other.caughtUp()]);
        for (let n = 0; n < 5; n++) await client.getSession({ app: "touched", token });
        await client.getSession({ app: "touched", token, peek: true });
        await asking.until("the touch", () => asking.events().length > 0);
        const { revision } = asking.events()[0] ?? assert.fail();
        await add("touched");
        await Promise.all([
          asking.until("the creation", () => asking.events().map(tell).includes("CREATED")),
          other.until("the creation", () => other.events().length > 0),
        ]);
        const touches = asking.events().filter(({ type }) => type === SessionEventType.TOUCHED);
        assert.ok(touches.length <= 2, `${touches.length} events for reads of one moment`);
        assert.equal(touches[0]?.sessionId, id);
        assert.deepEqual(other.events().map(tell), ["CREATED"]);
        assert.equal(other.events()[0]?.revision, revision + 1n);
        asking.cut();
        other.cut();
      });

      test("tells of an expiry, at its deadline, though nobody asks for the session", async () => {
        const idle = await add("expiring", "ann", 10n);
        const absolute = await client.createSession({
          ...{ app: "expiring", userId: "ann" },
          absoluteTtl: { seconds: 10n },
        });
        await add("expiring");
        const watcher = openWatcher(wire, { app: "expiring" });
        await watcher.caughtUp();
        const at = server.clock.now();
        server.clock.advance(10 * SECOND);
        await watcher.until("the ends", () => watcher.events().length === 2);
        const ends = new Map(watcher.events().map((event) => [event.sessionId, event]));
        for (const [id, reason] of [
          [idle.id, "ENDED: IDLE"],
          [absolute.session?.sessionId ?? "", "ENDED: ABSOLUTE"],
        ] as const) {
          const event = ends.get(id) ?? assert.fail();
          assert.equal(tell(event), reason);
          assert.equal(event.occurredAt && timestampMs(event.occurredAt), at + 10 * SECOND);
        }
        assert.ok(at >= NOW);
        watcher.cut();
      });

      test("tells of many sessions and many missed events in pages", async () => {
        const made: unknown[] = [];
        // Since Node 22, its HTTP/2 client resets what goes beyond some 1,000 calls at once.
        for (let begun = 0; begun < 1_200; begun += 400) {
          const some = Array.from({ length: 400 }, (_, n) => add("many", `user ${begun + n}`));
          made.push(...(await Promise.all(some)));
        }
        const watcher = openWatcher(wire, { app: "many" });
        await watcher.caughtUp();
        assert.equal(new Set(watcher.snapshot()).size, made.length);
        assert.ok(watcher.kinds().filter((kind) => kind === "snapshot").length >= 2);
        watcher.cut();
        await watcher.ended;
        await client.deleteAppSessions({ app: "many" });
        const again = openWatcher(wire, { app: "many", resumeRevision: watcher.revision() });
        await again.caughtUp();
        assert.equal(again.events().length, made.length);
        assert.ok(again.kinds().length <= 4, "events travel together");
        again.cut();
      });

      test("whose deadline passes is over, and the server knows", async () => {
        const watcher = openWatcher(wire, { app: "limited" }, { timeoutMs: 500 });
        await watcher.caughtUp();
        assert.equal((await watcher.ended)?.code, Code.DeadlineExceeded);
        await watchers(server, 0);
      });
    });

    test(`over ${wireName}, in ${store}, ends at once when the server stops`, async () => {
      const server = await startServer(store);
      const wire = openWire(wireName, server);
      try {
        const all = Array.from({ length: 20 }, (_, n) =>
          openWatcher(wire, { app: "shop", ...(n % 2 === 0 ? { userId: "ann" } : {}) }),
        );
        await Promise.all(all.map((watcher) => watcher.caughtUp()));
        const closed = server.close();
        for (const { ended } of all) {
          await assertRefused(
            ended.then((error) => Promise.reject(error)),
            { code: Code.Unavailable, reason: "UNAVAILABLE" },
          );
        }
        await closed;
      } finally {
        wire.close();
      }
    });
  }
}

test("a watch that cannot be is refused as a stream is", async () => {
  const server = await startServer();
  for (const wireName of WIRES) {
    const wire = openWire(wireName, server);
    const error = await openWatcher(wire, { app: "x" }).ended;
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.InvalidArgument);
    wire.close();
  }
  await server.close();
});

/** What a Connect stream is answered with: the message of its last frame, which says how it ended. */
async function endOfStream(
  { http }: TestServer,
  type: string,
  message: Buffer,
): Promise<{ error?: { code: string; message: string } }> {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const response = await fetch(`http://${http}/${SessionService.typeName}/WatchSessions`, {
    method: "POST",
    headers: { "content-type": type },
    body: Buffer.concat([prefix, message]),
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), type);
  const body = Buffer.from(await response.arrayBuffer());
  assert.equal(body[0], 2, "the only frame is the last");
  return JSON.parse(body.subarray(5).toString());
}

test("a Connect stream whose request cannot be decoded, or is too large, ends saying so", async () => {
  const server = await startServer();
  const json = "application/connect+json";
  const unreadable = await endOfStream(server, json, Buffer.from('{"app":5,"secret":1}'));
  assert.equal(unreadable.error?.code, "invalid_argument");
  assert.doesNotMatch(unreadable.error?.message ?? "", /secret/);
  const binary = await endOfStream(server, "application/connect+proto", Buffer.from([0xff]));
  assert.equal(binary.error?.code, "invalid_argument");
  const large = await endOfStream(server, json, Buffer.alloc(1024 * 1024 + 1, 32));
  assert.equal(large.error?.code, "resource_exhausted");
  await server.close();
});
