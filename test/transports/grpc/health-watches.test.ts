import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/ts/health/v1/health_pb.js";
import { addHealth } from "../../../src/transports/grpc/health.js";
import { eventually } from "../../support/eventually.js";
import { assertRefused } from "../../support/transports/case.js";
import { openWire, type Wire } from "../../support/transports/wires.js";

/** Runs `body` with a health service of its own. */
async function withHealth(
  maxWatches: number,
  body: (wire: Wire, stop: () => void) => Promise<void>,
): Promise<void> {
  const server = new Server();
  const { stop } = addHealth(server, { names: ["", "a.Service"], maxWatches });
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const wire = openWire("gRPC", { grpc: `127.0.0.1:${port}`, http: "" });
  try {
    await body(wire, stop);
  } finally {
    wire.close();
    server.forceShutdown();
  }
}

/** A watch of which one status was read. */
async function watch(wire: Wire, service: string) {
  const abort = new AbortController();
  const answers = wire.client(Health).watch({ service }, { signal: abort.signal });
  const statuses = answers[Symbol.asyncIterator]();
  const next = async () => (await statuses.next()).value?.status;
  return { first: await next(), next, end: () => abort.abort() };
}

test("a watch of a service that there is tells when it stops, and one of another nothing", () =>
  withHealth(10, async (wire, stop) => {
    const [server, service, other] = await Promise.all(
      ["", "a.Service", "another.Service"].map((name) => watch(wire, name)),
    );
    assert.equal(server?.first, Status.SERVING);
    assert.equal(service?.first, Status.SERVING);
    assert.equal(other?.first, Status.SERVICE_UNKNOWN);
    stop();
    assert.equal(await server?.next(), Status.NOT_SERVING);
    assert.equal(await service?.next(), Status.NOT_SERVING);
    const late = await watch(wire, "a.Service");
    assert.equal(late.first, Status.NOT_SERVING);
    assert.equal((await watch(wire, "another.Service")).first, Status.SERVICE_UNKNOWN);
  }));

test("the watches of all are bounded, and one that ends makes room", () =>
  withHealth(2, async (wire) => {
    const first = await watch(wire, "");
    await watch(wire, "another.Service");
    await assertRefused(watch(wire, ""), { code: Code.ResourceExhausted });
    // Checks go on.
    assert.equal((await wire.client(Health).check({})).status, Status.SERVING);
    first.end();
    await eventually("room for a watch", () =>
      watch(wire, "").then(
        () => true,
        () => false,
      ),
    );
  }));

test("the list has every service that there is, and no name that was asked for", () =>
  withHealth(10, async (wire) => {
    const health = wire.client(Health);
    await watch(wire, "another.Service");
    await assertRefused(health.check({ service: "another.Service" }), { code: Code.NotFound });
    const { statuses } = await health.list({});
    assert.deepEqual(Object.keys(statuses).toSorted(), ["", "a.Service"]);
    assert.ok(Object.values(statuses).every(({ status }) => status === Status.SERVING));
  }));
