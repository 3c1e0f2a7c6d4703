import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { type ErrorCode, LatchkeyError } from "../../../src/domain/error.js";
import { NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { assertRefused } from "../../support/transports/case.js";
import { type Listeners, withListeners } from "../../support/transports/listeners.js";
import { JSON_TYPE, openRest, type Rest } from "../../support/transports/rest.js";
import { withWires } from "../../support/transports/wires.js";

const TOKEN = "SecretToken".padEnd(64, "0");
/** What no caller may see. */
const INSIDE = "inside /var/lib/latchkey.db of 10.1.2.3";

/** A store of which every method fails with what `fault` makes. */
function failingStore(fault: () => unknown): SessionStore {
  const fail = () => Promise.reject(fault());
  return {
    policy: () => NO_POLICY,
    setPolicy: fail,
    create: fail,
    withIds: fail,
    peek: fail,
    touch: fail,
    update: fail,
    rotate: fail,
    delete: fail,
    deleteUser: fail,
    deleteApp: fail,
    list: fail,
    countActiveUsers: fail,
    sweep: fail,
    ping: fail,
    stats: () => ({ sessions: 0, walBytes: 0, waitingWrites: 0 }),
    events: { listen: () => {}, watch: fail, latest: () => 0, read: fail },
    close: () => Promise.resolve(),
  };
}

/** Runs `body` with the rest-sessions endpoints over such a store, and every typed wire. */
async function withFailingStore(
  fault: () => unknown,
  body: (listeners: Listeners, rest: Rest) => Promise<void>,
): Promise<void> {
  await withListeners({ store: failingStore(fault) }, async (listeners) => {
    const rest = openRest(listeners.http);
    try {
      await body(listeners, rest);
    } finally {
      rest.close();
    }
  });
}

/** One call of each endpoint that needs a store. */
const ENDPOINTS = [
  ["PUT", "/shop/create/ann?ip=::1"],
  ["GET", `/shop/get/${TOKEN}`],
  ["POST", `/shop/set/${TOKEN}`, { a: 1 }],
  ["GET", "/shop/activity?dt=60"],
  ["GET", "/shop/soapp?dt=60"],
  ["GET", "/shop/soid/ann"],
  ["DELETE", `/shop/kill/${TOKEN}`],
  ["DELETE", "/shop/killsoid/ann"],
  ["DELETE", "/shop/killall"],
  ["GET", "/ping"],
] as const;

const errorsIn = (log: readonly string[]) => log.filter((line) => line.includes('"level":50'));

const FAULTS: Readonly<Record<string, () => unknown>> = {
  "an error": () => new TypeError(INSIDE),
  "an error with a cause": () => new Error("outer", { cause: new Error(INSIDE) }),
  "a text": () => INSIDE,
};

for (const [what, fault] of Object.entries(FAULTS)) {
  test(`a fault of the server shows nothing of itself on typed wires, its log has it once: ${what}`, async () => {
    await withFailingStore(fault, (listeners) =>
      withWires(listeners, async (wires) => {
        for (const wire of wires) {
          const before = errorsIn(listeners.log).length;
          const error = await wire
            .client(SessionService)
            .getSession({ app: "shop", token: TOKEN })
            .then(() => assert.fail("answered"), ConnectError.from);
          assert.equal(error.rawMessage, "internal server error");
          const details = error.details.map((detail) => JSON.stringify(detail));
          const shown = [error.message, ...details, ...[...error.metadata].flat()].join();
          assert.equal(shown.includes("inside"), false, wire.name);
          await assertRefused(Promise.reject(error), { code: Code.Internal, reason: "INTERNAL" });
          const lines = errorsIn(listeners.log).slice(before);
          assert.equal(lines.length, 1, wire.name);
          assert.ok(lines[0]?.includes(INSIDE), wire.name);
        }
        assert.equal(listeners.log.join("").includes(TOKEN), false);
      }),
    );
  });
}

test("a fault of the server shows nothing of itself on the rest-sessions endpoints, its log has it once", async () => {
  await withFailingStore(
    () => new TypeError(INSIDE),
    async ({ log }, rest) => {
      for (const [method, path, body] of ENDPOINTS) {
        const before = errorsIn(log).length;
        const answer = await rest.send(method, path, body);
        assert.equal(answer.text, '{"name":"internal","message":"internal server error"}', path);
        assert.equal(answer.status, 500);
        assert.equal(answer.headers["content-type"], JSON_TYPE);
        assert.equal(JSON.stringify(answer.headers).includes("inside"), false);
        const lines = errorsIn(log).slice(before);
        assert.equal(lines.length, 1, path);
        assert.ok(lines[0]?.includes(INSIDE), path);
      }
      assert.equal(log.join("").includes(TOKEN), false);
    },
  );
});

const CODES: readonly [ErrorCode, Code, http: number, name: string][] = [
  ["invalid", Code.InvalidArgument, 400, "invalid"],
  ["unauthenticated", Code.Unauthenticated, 401, "unauthenticated"],
  ["forbidden", Code.PermissionDenied, 403, "forbidden"],
  ["exists", Code.AlreadyExists, 409, "exists"],
  ["version_mismatch", Code.Aborted, 409, "versionMismatch"],
  ["limit", Code.ResourceExhausted, 429, "limit"],
  ["overloaded", Code.ResourceExhausted, 503, "overloaded"],
  ["unavailable", Code.Unavailable, 503, "unavailable"],
];

for (const [code, expected, status, name] of CODES) {
  test(`every wire shows ${code} as the table of errors has it, in the error's own words`, async () => {
    const message = `words for ${code}, "quoted" 한글`;
    const fault = () => new LatchkeyError(code, message, { cause: new Error(INSIDE) });
    await withFailingStore(fault, (listeners, rest) =>
      withWires(listeners, async (wires) => {
        for (const wire of wires) {
          const call = wire.client(SessionService).createSession({ app: "shop", userId: "ann" });
          const error = await call.then(() => assert.fail("answered"), ConnectError.from);
          assert.equal(error.rawMessage, message);
          const refusal = { code: expected, reason: code.toUpperCase() };
          await assertRefused(Promise.reject(error), refusal, wire.name);
        }
        const answer = await rest.send("PUT", "/shop/create/ann?ip=::1");
        assert.deepEqual(JSON.parse(answer.text), { name, message });
        assert.equal(answer.status, status);
      }),
    );
  });
}

test("a refusal for the storage's sake is logged with its cause", async () => {
  const cause = new Error("SQLITE_FULL");
  const fault = () => new LatchkeyError("unavailable", "the disk is full", { cause });
  await withFailingStore(fault, async ({ log }, rest) => {
    await rest.send("GET", `/shop/get/${TOKEN}`);
    assert.equal(log.length, 1);
    assert.ok(log[0]?.includes("SQLITE_FULL"));
    assert.equal(log[0]?.includes(TOKEN), false);
  });
});

test("a wire serves on after a fault", async () => {
  let faulty = true;
  const rpcs = (
    usual: Parameters<NonNullable<Parameters<typeof withListeners>[0]["rpcs"]>>[0],
  ) => ({
    ...usual,
    createSession: (...call: Parameters<typeof usual.createSession>) => {
      if (faulty) throw new Error(INSIDE);
      return usual.createSession(...call);
    },
  });
  await withListeners({ rpcs }, (listeners) =>
    withWires(listeners, async (wires) => {
      for (const wire of wires) {
        const create = () =>
          wire.client(SessionService).createSession({ app: "shop", userId: wire.name });
        faulty = true;
        await assertRefused(create(), { code: Code.Internal, reason: "INTERNAL" }, wire.name);
        faulty = false;
        assert.equal((await create()).session?.userId, wire.name);
      }
    }),
  );
});
