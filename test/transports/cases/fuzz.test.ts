import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  create,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type Message,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { plain } from "../../support/transports/case.js";
import { openRawWire, type RawWire } from "../../support/transports/raw.js";
import { openRest, type Rest } from "../../support/transports/rest.js";
import { startServer, type TestServer } from "../../support/transports/server.js";
import { openWire, type Wire } from "../../support/transports/wires.js";
import {
  APPS,
  damage,
  damages,
  rawRequests,
  restCalls,
  rpcCalls,
  withTokens,
} from "./fuzz-requests.js";

/** Requests of all tests together: TEST_RUNS, or about 10,000. */
const TOTAL = Number(process.env["TEST_RUNS"] ?? 10_000);
/** Requests that are under way together. */
const BATCH = 25;

/** Sends this share of all requests, and fails with the first that `send` fails for. */
function sendAll<T>(
  requests: fc.Arbitrary<T>,
  share: number,
  send: (request: T) => Promise<unknown>,
): Promise<void> {
  const attempt = async (request: T) => {
    try {
      await send(request);
    } catch (cause) {
      throw new Error(`sent ${fc.stringify(request)}`, { cause });
    }
  };
  const batches = fc.array(requests, { minLength: BATCH, maxLength: BATCH });
  const property = fc.asyncProperty(batches, async (batch) => {
    await Promise.all(batch.map(attempt));
  });
  // What was sent before counts, so that a smaller batch would prove nothing.
  const options = { numRuns: Math.ceil((TOTAL * share) / BATCH), endOnFailure: true };
  return fc.assert(property, options);
}

/** What no request may be answered with. */
const FAULTS = [Code.Internal, Code.Unknown, Code.DataLoss, Code.Unimplemented];

function assertNoFault(error: unknown): void {
  const { code, rawMessage } = ConnectError.from(error);
  assert.equal(FAULTS.includes(code), false, `${Code[code]}: ${rawMessage}`);
}

describe("whatever is sent", () => {
  let server: TestServer;
  let wire: Wire;
  let raw: RawWire;
  let rest: Rest;
  const tokens: string[] = [];
  const apps = new Set<string>(APPS);

  before(async () => {
    server = await startServer("sqlite", "error");
    wire = openWire("gRPC", server);
    raw = openRawWire("gRPC", server);
    rest = openRest(server.http);
  });
  after(async () => {
    wire.close();
    raw.close();
    rest.close();
    await server.close();
  });

  /** Keeps what later requests and the last test need to know of an answer. */
  const learn = (answer: unknown) => {
    if (typeof answer !== "object" || answer === null || !("token" in answer)) return;
    tokens.push(String(answer.token));
  };

  const noteApp = (app: unknown) => {
    if (typeof app === "string" && /^[A-Za-z0-9_-]{3,20}$/.test(app)) apps.add(app);
  };

  test("messages, right and wrong, are answered or refused over gRPC", async () => {
    const client = wire.client(SessionService);
    await sendAll(rpcCalls, 0.3, async ({ rpc, message }) => {
      const request = withTokens(message, tokens) as { app: string };
      noteApp(request.app);
      const method = client[rpc as keyof typeof client] as (request: object) => Promise<unknown>;
      await method(request).then(learn, assertNoFault);
    });
    assert.ok(tokens.length > TOTAL / 200, `only ${tokens.length} sessions were created`);
  });

  const methods = new Map(SessionService.methods.map((method) => [method.localName, method]));
  /** Bytes near a message, with the RPC that they are sent to. */
  const damaged = fc.oneof(
    { weight: 3, arbitrary: fc.record({ call: rpcCalls, list: damages }) },
    fc.record({ call: rpcCalls, bytes: fc.uint8Array({ maxLength: 200 }) }),
  );
  type Damaged = typeof damaged extends fc.Arbitrary<infer T> ? T : never;
  const toBytes = (request: Damaged, json = false) => {
    const method = methods.get(request.call.rpc);
    assert.ok(method);
    if ("bytes" in request) return { rpc: method.name, bytes: request.bytes };
    const init = withTokens(request.call.message, tokens) as Record<string, unknown>;
    const encode = json ? toJsonBytes : toBinary<DescMessage>;
    const whole = encode(method.input, create<DescMessage>(method.input, init));
    const bytes = damage(whole, request.list);
    noteApp(appOf(method.input, bytes));
    return { rpc: method.name, bytes };
  };

  test("bytes that are no message, or another one, are answered or refused over gRPC", async () => {
    await sendAll(damaged, 0.25, async (request) => {
      const { rpc, bytes } = toBytes(request);
      await raw.send(rpc, bytes).catch(assertNoFault);
    });
  });

  test("requests, right and wrong, are answered or refused by the endpoints", async () => {
    await sendAll(restCalls, 0.25, async ({ parts: [method, ...parts], query, body }) => {
      const path = parts.map((part) => withTokens(part, tokens)).join("/");
      noteApp(decodeOrEmpty(path.split("/")[0] ?? ""));
      const search = query.map((pair) => pair.join("=")).join("&");
      const answer = await rest.call(String(method), `/${path}?${search}`, body);
      assert.ok(answer.status < 500, `${answer.status} ${answer.text}`);
      if (answer.text.startsWith('{"token"')) learn(JSON.parse(answer.text));
    });
  });

  test("bytes that are no HTTP/2, or nearly, are refused by the gRPC listener", async () => {
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const frames = fc.tuple(fc.constantFrom(preface, Buffer.alloc(0)), rawRequests);
    await sendAll(frames, 0.05, (parts) => sendBytes(server.grpc, Buffer.concat(parts)));
    await wire.client(SessionService).listSessions({ app: "shop" });
  });

  test("bytes that are no HTTP, or nearly, are refused", async () => {
    await sendAll(rawRequests, 0.1, async (bytes) => {
      const answer = await sendBytes(server.http, bytes);
      const statuses = [...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);
      assert.equal(statuses.includes("500"), false, answer);
    });
  });

  for (const name of ["Connect JSON", "Connect binary", "gRPC-Web"] as const) {
    test(`bytes that are no message, or another one, are answered or refused over ${name}`, async () => {
      const other = openRawWire(name, server);
      try {
        await sendAll(damaged, 0.04, async (request) => {
          const { rpc, bytes } = toBytes(request, other.json);
          await other.send(rpc, bytes).catch(assertNoFault);
        });
      } finally {
        other.close();
      }
    });
  }

  test("after all that the server has logged no fault, serves, and is consistent", async () => {
    assert.deepEqual(server.log, []);
    const client = wire.client(SessionService);
    const { token } = await client.createSession({ app: "shop", userId: "the last" });
    await client.updateSession({ app: "shop", token, data: { last: true } });
    const { session } = await client.getSession({ app: "shop", token });
    assert.deepEqual(session?.data, { last: true });

    let listed = 0;
    for (const app of apps) {
      const users = new Set<string>();
      for await (const one of listAll(app)) {
        listed++;
        users.add(one.userId);
        assert.equal(one.app, app);
        assert.ok(one.version >= one.writes && one.writes >= 1 && one.reads >= 1);
      }
      const activeWithin = { seconds: 2n ** 31n - 1n };
      const { userCount } = await client.countActiveUsers({ app, activeWithin });
      assert.equal(userCount, BigInt(users.size));
    }
    const metrics = (await rest.call("GET", "/metrics")).text;
    assert.equal(/^latchkey_store_sessions (\d+)$/m.exec(metrics)?.[1], `${listed}`);
  });

  async function* listAll(app: string) {
    const client = wire.client(SessionService);
    let pageToken = "";
    do {
      const page = await client.listSessions({ app, pageSize: 1000, pageToken });
      for (const session of page.sessions) yield plain(session);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
});

/** The message in JSON; binary if it holds what JSON cannot, which is as good here. */
function toJsonBytes(desc: DescMessage, message: Message): Uint8Array {
  try {
    return Buffer.from(toJsonString(desc, message));
  } catch {
    return toBinary(desc, message);
  }
}

/** The app that a damaged request names; it may be another one by now. */
function appOf(desc: DescMessage, bytes: Uint8Array): unknown {
  const decoders = [
    () => fromBinary(desc, bytes),
    () => fromJsonString(desc, Buffer.from(bytes).toString(), { ignoreUnknownFields: true }),
  ];
  for (const decode of decoders) {
    try {
      return (decode() as { app?: unknown }).app;
    } catch {}
  }
  return undefined;
}

function decodeOrEmpty(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

/** Sends bytes over a connection of their own and answers all that comes back. */
function sendBytes(address: string, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const [host, port] = address.split(":");
    const socket = connect(Number(port), host);
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // A listener that has refused a request does not read the rest of it.
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
    });
    socket.on("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
    socket.end(bytes);
  });
}
