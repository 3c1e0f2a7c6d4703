// The worst that a User does with legal calls on his own sessions: lists, counts, batches, the whole
// app by HTTP, and watches, some of which nobody reads; each over and over. A process of its own, which
// is sent a HeavyUser and ends by itself; writes what it did as JSON.
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  BatchGetSessionsRequestSchema,
  CountActiveUsersRequestSchema,
  ListSessionsRequestSchema,
  SessionService,
  WatchSessionsRequestSchema,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { appOf, type Population, tokenOf } from "../data/population.js";
import { framed } from "../load/grpc-client.js";

/** What the process is sent. */
export interface HeavyUser {
  /** `127.0.0.1:1234` each. */
  readonly http: string;
  readonly grpc: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly population: Population;
  readonly seconds: number;
  /** Watches in sum, of which one in ten is read. */
  readonly watches: number;
}

/** Calls of each kind under way. */
const AT_ONCE = 64;
/** Sessions of a batch, the most that it may have. */
const BATCH = 100;
const WATCHES_OF_ONE = 1_000;

const [user] = (await once(process, "message")) as [HeavyUser];
const { population, headers, grpc } = user;
const app = appOf(population, 0);
const end = performance.now() + user.seconds * 1_000;
const counts: Record<string, number> = {};
const count = (what: string) => {
  counts[what] = (counts[what] ?? 0) + 1;
};

const open = () => connectHttp2(`http://${grpc}`).on("error", () => count("connection lost"));
const callsBy = (name: string) => ({
  ":method": "POST",
  ":path": `/${SessionService.typeName}/${name}`,
  te: "trailers",
  "content-type": "application/grpc",
  ...headers,
});

/** Makes a call over and over. */
function repeat(session: ReturnType<typeof open>, name: string, message: Uint8Array): void {
  const again = () => {
    if (performance.now() > end || session.destroyed) return;
    const stream = session.request(callsBy(name));
    let status: unknown;
    stream.on("response", (answer) => {
      status = answer["grpc-status"];
    });
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("error", () => {});
    stream.resume();
    stream.once("close", () => {
      count(`${name} ${status === "0" ? "answered" : `status ${status}`}`);
      // Who is refused waits a little, as clients do.
      setTimeout(again, status === "0" ? 0 : 100);
    });
    stream.end(framed(message));
  };
  for (let n = 0; n < AT_ONCE; n++) again();
}

/** Asks for all sessions of the app, as a legacy caller does, and reads as they come. */
function listApp(): void {
  const [host = "", port] = user.http.split(":");
  const again = () => {
    if (performance.now() > end) return;
    const socket = connect({ host, port: Number(port) });
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.on("error", () => {}).resume();
    socket.once("close", () => {
      count("soapp ended");
      setTimeout(again, 100);
    });
    socket.write(
      `GET /${app}/soapp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${lines.join("")}\r\n`,
    );
  };
  for (let n = 0; n < 4; n++) again();
}

function watch(): void {
  const message = framed(
    toBinary(WatchSessionsRequestSchema, create(WatchSessionsRequestSchema, { app })),
  );
  for (let n = 0; n < user.watches; n += WATCHES_OF_ONE) {
    const session = open();
    for (let of = 0; of < Math.min(WATCHES_OF_ONE, user.watches - n); of++) {
      const stream = session.request(callsBy("WatchSessions"));
      stream.on("error", () => {});
      stream.once("close", () => count("watch ended"));
      if (of % 10 === 0) stream.resume();
      stream.end(message);
    }
  }
}

repeat(
  open(),
  "ListSessions",
  toBinary(ListSessionsRequestSchema, create(ListSessionsRequestSchema, { app, pageSize: 1_000 })),
);
repeat(
  open(),
  "CountActiveUsers",
  toBinary(
    CountActiveUsersRequestSchema,
    create(CountActiveUsersRequestSchema, { app, activeWithin: { seconds: 86_400n } }),
  ),
);
repeat(
  open(),
  "BatchGetSessions",
  toBinary(
    BatchGetSessionsRequestSchema,
    create(BatchGetSessionsRequestSchema, {
      app,
      tokens: Array.from({ length: BATCH }, (_, n) => tokenOf(population, n * 97)),
    }),
  ),
);
listApp();
watch();
setTimeout(() => {
  process.stdout.write(`${JSON.stringify(counts)}\n`, () => process.exit());
}, user.seconds * 1_000);
