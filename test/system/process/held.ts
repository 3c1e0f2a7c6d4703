import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from "../../../gen/ts/health/v1/health_pb.js";
import {
  CreateSessionRequestSchema,
  CreateSessionResponseSchema,
  SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { APP, IP } from "../../support/process/wire.js";

/** A call that the server has accepted and that waits for its last bytes. */
export interface Held<T> {
  /** Sends the rest and answers what the server did. */
  finish(): Promise<T>;
}

/** A create over HTTP without the end of its body. */
export async function holdHttpCreate(
  t: TestContext,
  address: string,
  user: string,
): Promise<Held<{ token: string; saysClose: boolean }>> {
  const body = JSON.stringify({ held: true });
  const socket = openSocket(t, address);
  socket.send(
    `PUT /${APP}/create/${encodeURIComponent(user)}?ip=${IP} HTTP/1.1\r\nHost: ${address}\r\n` +
      "Content-Type: application/json\r\n" +
      `Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
  );
  await socket.received(/^HTTP\/1.1 100 Continue\r\n\r\n/);
  socket.send(body.slice(0, 4));
  return {
    async finish() {
      socket.send(body.slice(4));
      const [head, token = ""] = await socket.received(/HTTP\/1.1 200 [\s\S]*"token":"(\w{64})"/);
      // A connection that stays open would hold the server up.
      socket.close();
      return { token, saysClose: /^connection: close\r$/im.test(head) };
    },
  };
}

/** A GET /readyz without the end of its head; `finish` answers the status. */
export async function holdReadyz(t: TestContext, address: string): Promise<Held<number>> {
  const socket = openSocket(t, address);
  const head = (path: string) => `GET ${path} HTTP/1.1\r\nHost: ${address}\r\n`;
  // One piece: with the answer to the first, the server has seen the second begin.
  socket.send(`${head("/livez")}\r\n${head("/readyz")}`);
  await socket.received(/^HTTP\/1.1 200 [\s\S]*"alive"}/);
  return {
    async finish() {
      socket.send("\r\n");
      const [, status] = await socket.received(/"alive"}HTTP\/1.1 (\d+) /);
      return Number(status);
    },
  };
}

/** A CreateSession over gRPC without the end of its request; `finish` answers the token. */
export async function holdGrpcCreate(
  t: TestContext,
  address: string,
  user: string,
): Promise<Held<string>> {
  const session = connectHttp2(`http://${address}`);
  t.after(() => session.destroy());
  const { createSession } = SessionService.method;
  const stream = session.request({
    ":method": "POST",
    ":path": `/${createSession.parent.typeName}/${createSession.name}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  const request = create(CreateSessionRequestSchema, { app: APP, userId: user, ip: IP });
  const bytes = framed(toBinary(CreateSessionRequestSchema, request));
  stream.write(bytes.subarray(0, 7));
  await once(session, "connect");
  // Its answer comes after the server has handled all before it.
  await new Promise<void>((resolve, reject) => {
    session.ping((error) => (error ? reject(error) : resolve()));
  });
  return {
    async finish() {
      const trailers = once(stream, "trailers");
      stream.end(bytes.subarray(7));
      const parts: Buffer[] = [];
      for await (const part of stream) parts.push(part);
      const [{ "grpc-status": status }] = await trailers;
      if (status !== "0") throw new Error(`the held call ended with status ${status}`);
      return fromBinary(CreateSessionResponseSchema, Buffer.concat(parts).subarray(5)).token;
    },
  };
}

/** Watches the health of the server by its own protocol. */
export function watchHealth(t: TestContext, address: string) {
  const client = new Client(address, credentials.createInsecure());
  t.after(() => client.close());
  const call = client.makeServerStreamRequest(
    "/grpc.health.v1.Health/Watch",
    (message: Uint8Array) => Buffer.from(message),
    (bytes) => fromBinary(HealthCheckResponseSchema, bytes),
    toBinary(
      HealthCheckRequestSchema,
      create(HealthCheckRequestSchema, { service: SessionService.typeName }),
    ),
  );
  const seen: string[] = [];
  call.on("data", ({ status }) => seen.push(HealthCheckResponse_ServingStatus[status] ?? ""));
  // It ends by being cancelled, which is an error to its caller.
  call.on("error", () => undefined);
  return {
    /** The first so many statuses that were told. */
    async statuses(count: number): Promise<string[]> {
      while (seen.length < count) await once(call, "data");
      return seen.slice(0, count);
    },
    end: () => call.cancel(),
  };
}

function openSocket(t: TestContext, address: string) {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host).setEncoding("utf8");
  t.after(() => socket.destroy());
  let text = "";
  socket.on("data", (part: string) => {
    text += part;
  });
  socket.on("error", () => undefined);
  return {
    send: (bytes: string) => socket.write(bytes),
    close: () => socket.destroy(),
    /** What of the bytes so far matches; rejects if the server closes before they do. */
    async received(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const match = pattern.exec(text);
        if (match) return match;
        if (socket.readableEnded || socket.destroyed) {
          throw new Error(`the server closed after ${JSON.stringify(text)}`);
        }
        await Promise.race([once(socket, "data"), once(socket, "close")]);
      }
    },
  };
}

/** A message as gRPC sends it: uncompressed, its length before it. */
function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
