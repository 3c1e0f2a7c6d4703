import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/ts/health/v1/health_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { assertRefused } from "../../support/transports/case.js";
import {
  type Listeners,
  type SessionRpcs,
  withListeners,
} from "../../support/transports/listeners.js";
import { openRawWire } from "../../support/transports/raw.js";
import { REFLECTIONS, reflect } from "../../support/transports/reflection.js";
import { withServer } from "../../support/transports/server.js";
import { openWire, type Wire } from "../../support/transports/wires.js";

const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;
const SERVICE = "latchkey.session.v1.SessionService";

for (const version of REFLECTIONS) {
  test(`reflection ${version} lists the services`, () =>
    withServer("memory", async ({ grpc }) => {
      const answer = await reflect(grpc, version, { list_services: "*" });
      const names = answer.list_services_response?.service.map(({ name }) => name) ?? [];
      for (const name of [SERVICE, "grpc.health.v1.Health"]) assert.ok(names.includes(name), name);
    }));

  test(`reflection ${version} resolves services, messages and the details of errors`, () =>
    withServer("memory", async ({ grpc }) => {
      const symbols = {
        [SERVICE]: "latchkey/session/v1/session_service.proto",
        [`${SERVICE}.CreateSession`]: "latchkey/session/v1/session_service.proto",
        "latchkey.session.v1.Session": "latchkey/session/v1/session.proto",
        "google.protobuf.Struct": "google/protobuf/struct.proto",
        "google.rpc.ErrorInfo": "google/rpc/error_details.proto",
        "google.rpc.BadRequest": "google/rpc/error_details.proto",
        "grpc.health.v1.Health": "health/v1/health.proto",
      };
      for (const [symbol, path] of Object.entries(symbols)) {
        const answer = await reflect(grpc, version, { file_containing_symbol: symbol });
        const files = answer.file_descriptor_response?.file_descriptor_proto ?? [];
        const names = files.map((file) => fromBinary(FileDescriptorProtoSchema, file).name);
        assert.ok(names.includes(path), `${symbol}: ${names.join()}`);
      }
    }));

  test(`reflection ${version} answers a service's file with all that it imports`, () =>
    withServer("memory", async ({ grpc }) => {
      const answer = await reflect(grpc, version, { file_containing_symbol: SERVICE });
      const files = (answer.file_descriptor_response?.file_descriptor_proto ?? []).map((file) =>
        fromBinary(FileDescriptorProtoSchema, file),
      );
      const names = new Set(files.map(({ name }) => name));
      for (const { name, dependency } of files) {
        for (const one of dependency) assert.ok(names.has(one), `${name} imports ${one}`);
      }
      const service = files
        .flatMap(({ service }) => service)
        .find(({ name }) => SERVICE.endsWith(name));
      assert.deepEqual(
        service?.method.map(({ name }) => name),
        SessionService.methods.map(({ name }) => name),
      );
    }));

  test(`reflection ${version} says that it does not know a symbol`, () =>
    withServer("memory", async ({ grpc }) => {
      const answer = await reflect(grpc, version, { file_containing_symbol: "no.such.Thing" });
      assert.equal(answer.error_response?.error_code, Code.NotFound);
    }));
}

/** Runs `body` with both listeners and a gRPC client. */
async function withGrpc(
  rpcs: (usual: SessionRpcs) => SessionRpcs,
  body: (wire: Wire, listeners: Listeners) => Promise<void>,
): Promise<void> {
  await withListeners({ rpcs }, async (listeners) => {
    const wire = openWire("gRPC", listeners);
    try {
      await body(wire, listeners);
    } finally {
      wire.close();
    }
  });
}

const usual = (rpcs: SessionRpcs) => rpcs;

test("health is SERVING, of the server and of its service, and unknown of others", () =>
  withGrpc(usual, async (wire) => {
    const health = wire.client(Health);
    assert.equal((await health.check({})).status, SERVING);
    assert.equal((await health.check({ service: SERVICE })).status, SERVING);
    await assertRefused(health.check({ service: "no.such.Service" }), { code: Code.NotFound });
  }));

test("health turns NOT_SERVING when the server drains, and calls are served on", () =>
  withGrpc(usual, async (wire, { listeners }) => {
    const health = wire.client(Health);
    const watched: number[] = [];
    const abort = new AbortController();
    const watch = (async () => {
      for await (const { status } of health.watch({ service: SERVICE }, { signal: abort.signal })) {
        watched.push(status);
        if (status === SERVING) for (const listener of listeners) listener.drain();
        else break;
      }
    })();
    await watch;
    assert.deepEqual(watched, [SERVING, NOT_SERVING]);
    assert.equal((await health.check({})).status, NOT_SERVING);
    assert.equal((await health.check({ service: SERVICE })).status, NOT_SERVING);
    const created = await wire.client(SessionService).createSession({ app: "shop", userId: "ann" });
    assert.equal(created.session?.userId, "ann");
  }));

test("a call that was accepted finishes while the listener closes, and no new one begins", async () => {
  let release: () => void = () => {};
  let arrive: () => void = () => {};
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const hold = (rpcs: SessionRpcs): SessionRpcs => ({
    ...rpcs,
    async createSession(request, call) {
      arrive();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return rpcs.createSession(request, call);
    },
  });
  await withGrpc(hold, async (wire, { listeners, grpc, http }) => {
    const call = wire.client(SessionService).createSession({ app: "shop", userId: "ann" });
    await arrived;
    const [listener] = listeners;
    const closed = listener?.close(60_000).then(() => "closed");
    const late = openWire("gRPC", { grpc, http });
    const refused = late.client(SessionService).listSessions({ app: "shop" });
    await assertRefused(refused, { code: Code.Unavailable });
    late.close();
    release();
    assert.equal((await call).session?.userId, "ann");
    assert.equal(await closed, "closed");
  });
});

test("what outlives the grace is cut when the listener closes", async () => {
  await withGrpc(usual, async (wire, { listeners }) => {
    const watch = wire.client(Health).watch({})[Symbol.asyncIterator]();
    assert.equal((await watch.next()).value.status, SERVING);
    const cut = assert.rejects(watch.next());
    await listeners[0]?.close(10);
    await cut;
  });
});

test("an unknown method is UNIMPLEMENTED", () =>
  withServer("memory", async (server) => {
    const raw = openRawWire("gRPC", server);
    try {
      const call = raw.send("NoSuchMethod", new Uint8Array());
      await assertRefused(call, { code: Code.Unimplemented });
    } finally {
      raw.close();
    }
  }));
