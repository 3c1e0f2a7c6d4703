import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { create, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { credentials, Client as GrpcClient, type ServiceError, status } from "@grpc/grpc-js";
import {
  SessionService,
  WatchSessionsRequestSchema,
  WatchSessionsResponseSchema,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { eventually } from "../../support/eventually.js";
import { openRest } from "../../support/transports/rest.js";
import { withServer } from "../../support/transports/server.js";
import { openWatcher } from "../../support/transports/watcher.js";
import { openWire } from "../../support/transports/wires.js";

const UPDATES = 4_000;
/** Long, so that what is sent soon fills what lies between. */
const USER = "한".repeat(128);

test("over gRPC a watcher who does not read is dropped, and told so once it reads; it can resume", () =>
  withServer("memory", async (server) => {
    const raw = new GrpcClient(server.grpc, credentials.createInsecure());
    const wire = openWire("gRPC", server);
    const rest = openRest(server.http);
    const metric = async (name: string) => {
      const { text } = await rest.call("GET", "/metrics");
      return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
    };
    try {
      const client = wire.client(SessionService);
      const { token } = await client.createSession({ app: "shop", userId: USER });
      const call = raw.makeServerStreamRequest(
        `/${SessionService.typeName}/WatchSessions`,
        (request: Buffer) => request,
        (response: Buffer) => fromBinary(WatchSessionsResponseSchema, response),
        Buffer.from(
          toBinary(WatchSessionsRequestSchema, create(WatchSessionsRequestSchema, { app: "shop" })),
        ),
      );
      const failed = once(call, "error");
      let revision = 0n;
      let told = 0;
      // It reads until it has caught up: grpc-js takes in all that comes before a first read.
      call.on(
        "data",
        ({ revision: upTo, content }: MessageShape<typeof WatchSessionsResponseSchema>) => {
          revision = upTo;
          if (content.case === "events") told += content.value.events.length;
          if (content.case === "progress") call.pause();
        },
      );
      await eventually("the watch", async () => (await metric("latchkey_watch_watchers")) === 1);

      for (let n = 0; n < UPDATES; n += 20) {
        const update = () => client.updateSession({ app: "shop", token, data: { n } });
        await Promise.all(Array.from({ length: 20 }, update));
      }
      assert.equal(await metric('latchkey_watch_dropped_total{reason="behind"}'), 1);
      assert.equal(await metric("latchkey_watch_watchers"), 0);

      call.resume();
      const [error] = (await failed) as [ServiceError];
      assert.equal(error.code, status.RESOURCE_EXHAUSTED);
      assert.match(error.details, /resume/);
      assert.ok(told < UPDATES);

      const again = openWatcher(wire, { app: "shop", resumeRevision: revision });
      await again.caughtUp();
      assert.equal(told + again.events().length, UPDATES);
      again.cut();
    } finally {
      raw.close();
      wire.close();
      rest.close();
    }
  }));
