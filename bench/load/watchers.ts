// The watchers of `bench -- watch`, in a process of their own, so that reading events does not
// hold up the writers that are measured. They speak HTTP/2 themselves: grpc-js's client takes
// several times the processor, of which the machine has little beside the server and its load.
import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  SessionService,
  WatchSessionsRequestSchema,
  WatchSessionsResponseSchema,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { createLatencies, type Latencies } from "../report/latencies.js";
import { framed } from "./grpc-client.js";

/** The first message that the process is sent; it answers "ready" once all have caught up. */
export interface Watching {
  readonly grpc: string;
  readonly app: string;
  readonly userIds: readonly string[];
  /** How many watch the whole app. */
  readonly whole: number;
}

/** What it is sent next: to tell of the events from an instant (ms) on, when all have come. */
export interface Question {
  readonly since: number;
  /** How many there are, of all users together, since it is ready. */
  readonly events: number;
}

/** What it answers. */
export interface Told {
  /** From when an event happened to when its user's watcher had it, by this machine's one clock. */
  readonly delay: Latencies;
  /** Milliseconds from the question to the last event. */
  readonly late: number;
}

const HEADER = 5;
const PATIENCE_MS = 10_000;
const AT_ONCE = 50;

const fail = (reason: unknown) => {
  process.stderr.write(`watchers: ${reason}\n`);
  process.exit(1);
};

/** Opens a watch; `received` is told each message's bytes. */
function watch(
  session: ClientHttp2Session,
  request: { app: string; userId: string },
  received: (message: Buffer) => void,
): void {
  const stream = session.request({
    ":method": "POST",
    ":path": `/${SessionService.typeName}/${SessionService.method.watchSessions.name}`,
    te: "trailers",
    "content-type": "application/grpc",
  });
  let rest: Buffer = Buffer.alloc(0);
  stream.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER && rest.length >= HEADER + rest.readUInt32BE(1)) {
      const end = HEADER + rest.readUInt32BE(1);
      received(rest.subarray(HEADER, end));
      rest = rest.subarray(end);
    }
  });
  const ended = ({ "grpc-message": message }: IncomingHttpHeaders) =>
    fail(`a watch ended: ${message}`);
  stream.on("trailers", ended);
  // Of a call that is refused, the headers are all.
  stream.on("response", (headers) => "grpc-status" in headers && ended(headers));
  stream.on("error", fail);
  const message = create(WatchSessionsRequestSchema, request);
  stream.end(framed(toBinary(WatchSessionsRequestSchema, message)));
}

const [{ grpc, app, userIds, whole }] = (await once(process, "message")) as [Watching];
const session = connect(`http://${grpc}`).on("error", fail);
const delays: [at: number, delay: number][] = [];
let latest = 0n;
/** Of those of the whole app, the last message of each. Only that is looked at, at the end. */
const last = new Map<number, Buffer>();

const decode = (message: Buffer) => fromBinary(WatchSessionsResponseSchema, message);

const openOfUser = (userId: string) =>
  new Promise<void>((caughtUp) => {
    watch(session, { app, userId }, (message) => {
      const { content } = decode(message);
      if (content.case === "progress") caughtUp();
      if (content.case !== "events") return;
      const now = Date.now();
      for (const { occurredAt, revision } of content.value.events) {
        const at = occurredAt ? timestampMs(occurredAt) : Number.NaN;
        delays.push([at, now - at]);
        if (revision > latest) latest = revision;
      }
    });
  });
const openOfApp = (index: number) =>
  new Promise<void>((caughtUp) => {
    let hasCaughtUp = false;
    watch(session, { app, userId: "" }, (message) => {
      last.set(index, message);
      if (hasCaughtUp || decode(message).content.case !== "progress") return;
      hasCaughtUp = true;
      caughtUp();
    });
  });

// A few at a time: a server would refuse some of a thousand at once, as it should.
for (let from = 0; from < userIds.length; from += AT_ONCE) {
  await Promise.all(userIds.slice(from, from + AT_ONCE).map(openOfUser));
}
await Promise.all(Array.from({ length: whole }, (_, index) => openOfApp(index)));
process.send?.("ready");

const [{ since, events }] = (await once(process, "message")) as [Question];
const asked = performance.now();
const haveAll = () =>
  delays.length >= events && [...last.values()].every((one) => decode(one).revision >= latest);
while (!haveAll()) {
  if (performance.now() - asked > PATIENCE_MS) {
    fail(`${delays.length} of ${events} events came, or an app's watcher lags behind`);
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
}
if (delays.length > events) fail(`${delays.length} events came of ${events}`);
const delay = createLatencies();
for (const [at, ms] of delays) if (at >= since) delay.record(ms);
const told: Told = { delay: delay.summary(), late: performance.now() - asked };
process.send?.(told);
