// The watchers of `bench -- watch`, in a process of their own, so that reading events does not
// hold up the writers that are measured.
import { once } from "node:events";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Client, credentials } from "@grpc/grpc-js";
import {
  SessionService,
  WatchSessionsRequestSchema,
  WatchSessionsResponseSchema,
} from "../gen/ts/latchkey/session/v1/session_service_pb.js";

/** The first message that the process is sent; it answers "ready" once all have caught up. */
export interface Watching {
  readonly grpc: string;
  readonly app: string;
  readonly userIds: readonly string[];
  /** How many watch the whole app. */
  readonly whole: number;
}

/**
 * An event of a user's session: its user, its version, and how long after it happened (ms) it
 * came, by the one clock of this machine. The second message is answered with all of them.
 */
export type Told = readonly [userId: string, version: number, delay: number];

const [{ grpc, app, userIds, whole }] = (await once(process, "message")) as [Watching];
const client = new Client(grpc, credentials.createInsecure());
const told: Told[] = [];

const open = (userId: string) =>
  new Promise<void>((resolve, reject) => {
    const watch = client.makeServerStreamRequest(
      `/${SessionService.typeName}/${SessionService.method.watchSessions.name}`,
      (message: Buffer) => message,
      (bytes: Buffer) => bytes,
      Buffer.from(
        toBinary(WatchSessionsRequestSchema, create(WatchSessionsRequestSchema, { app, userId })),
      ),
    );
    let hasCaughtUp = false;
    watch.on("error", reject);
    watch.on("data", (bytes: Buffer) => {
      // Those of the whole app are a burden on the server, and need be none on the load.
      if (hasCaughtUp && userId === "") return;
      const { content } = fromBinary(WatchSessionsResponseSchema, bytes);
      if (content.case === "progress") {
        hasCaughtUp = true;
        resolve();
      } else if (content.case === "events") {
        const at = Date.now();
        for (const { version, occurredAt } of content.value.events) {
          const delay = at - (occurredAt ? timestampMs(occurredAt) : Number.NaN);
          told.push([userId, Number(version), delay]);
        }
      }
    });
  });

await Promise.all([...userIds, ...Array.from({ length: whole }, () => "")].map(open));
process.send?.("ready");
await once(process, "message");
process.send?.(told);
