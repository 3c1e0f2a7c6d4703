import assert from "node:assert/strict";
import { test } from "node:test";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { RpcCall } from "../../../src/transports/rpc/rpcs.js";
import { eventually } from "../../support/eventually.js";
import { type SessionRpcs, withListeners } from "../../support/transports/listeners.js";
import type { Addresses } from "../../support/transports/server.js";
import { type Wire, withWires } from "../../support/transports/wires.js";

/** Holds every CreateSession at the server until it is released. */
function createGate() {
  let arrive: (call: RpcCall) => void = () => {};
  let open: () => void = () => {};
  let done: () => void = () => {};
  return {
    rpcs: (usual: SessionRpcs): SessionRpcs => ({
      ...usual,
      async createSession(request, call) {
        arrive(call);
        await new Promise<void>((resolve) => {
          open = resolve;
        });
        const response = await usual.createSession(request, call);
        done();
        return response;
      },
    }),
    /** Resolves when a call is held. */
    held: () =>
      new Promise<RpcCall>((resolve) => {
        arrive = resolve;
      }),
    /** Lets the held call go on; resolves when the server has carried it out. */
    release: () =>
      new Promise<void>((resolve) => {
        done = resolve;
        open();
      }),
  };
}

type Gate = ReturnType<typeof createGate>;

async function withGate(body: (wire: Wire, gate: Gate, at: Addresses) => Promise<void>) {
  const gate = createGate();
  await withListeners({ rpcs: gate.rpcs }, (listeners) =>
    withWires(listeners, async (wires) => {
      for (const wire of wires) await body(wire, gate, listeners);
    }),
  );
}

/** Calls CreateSession and answers how the call failed, once the server holds it. */
async function failHeld(wire: Wire, gate: Gate, options: CallOptions, act = () => {}) {
  const held = gate.held();
  const request = { app: "shop", userId: wire.name };
  const failure = wire
    .client(SessionService)
    .createSession(request, options)
    .then(() => assert.fail(`${wire.name}: answered`), ConnectError.from);
  const call = await held;
  assert.equal(call.cancelled(), false, wire.name);
  act();
  return { call, error: await failure };
}

/** Waits until the server has noticed that the caller went. */
const noticed = ({ cancelled }: RpcCall) => eventually("the end of the call", cancelled);

const sessionsOf = async (wire: Wire) =>
  (await wire.client(SessionService).listUserSessions({ app: "shop", userId: wire.name })).sessions;

test("a passed deadline fails the call, the server notices, and the write is carried out", async () => {
  await withGate(async (wire, gate) => {
    // Connected first, so that the call arrives well before its deadline.
    assert.deepEqual(await sessionsOf(wire), []);
    const { call, error } = await failHeld(wire, gate, { timeoutMs: 500 });
    assert.equal(Code[error.code], "DeadlineExceeded", wire.name);
    await noticed(call);
    await gate.release();
    assert.equal((await sessionsOf(wire)).length, 1, wire.name);
  });
});

test("a cancelled call fails, the server notices, and the write is carried out", async () => {
  await withGate(async (wire, gate) => {
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const { call, error } = await failHeld(wire, gate, options, () => abort.abort());
    assert.equal(Code[error.code], "Canceled", wire.name);
    await noticed(call);
    await gate.release();
    assert.equal((await sessionsOf(wire)).length, 1, wire.name);
  });
});

test("a deadline that is not reached changes nothing", async () => {
  await withGate(async (wire, gate) => {
    const held = gate.held();
    const request = { app: "shop", userId: wire.name };
    const call = wire.client(SessionService).createSession(request, { timeoutMs: 60_000 });
    await held;
    await gate.release();
    assert.equal((await call).session?.userId, wire.name);
  });
});

test("ending an app's sessions stops when its caller goes", async () => {
  const asked: (() => boolean)[] = [];
  let arrive: () => void = () => {};
  const rpcs = (usual: SessionRpcs): SessionRpcs => ({
    ...usual,
    async deleteAppSessions(request, call) {
      asked.push(call.cancelled);
      arrive();
      await noticed(call);
      return usual.deleteAppSessions(request, call);
    },
  });
  await withListeners({ rpcs }, (listeners) =>
    withWires(listeners, async (wires) => {
      for (const wire of wires) {
        const client = wire.client(SessionService);
        await client.createSession({ app: "shop", userId: wire.name });
        const abort = new AbortController();
        const arrived = new Promise<void>((resolve) => {
          arrive = resolve;
        });
        const call = client.deleteAppSessions({ app: "shop" }, { signal: abort.signal });
        await Promise.all([arrived.then(() => abort.abort()), assert.rejects(call)]);
        await noticed({ cancelled: asked.at(-1) ?? (() => true), caller: null });
        assert.equal((await sessionsOf(wire)).length, 1, wire.name);
      }
    }),
  );
});
