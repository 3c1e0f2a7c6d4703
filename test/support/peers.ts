import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { ErrorInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.js";
import {
  CountActiveUsersRequestSchema,
  CountActiveUsersResponseSchema,
  SessionService,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { Guarded, TestAccount } from "./accounts.js";
import { dial, request, speak } from "./transports/command-client.js";

/** How a call was answered: `ok`, or as the wire names a refusal. */
export interface PeerAnswer {
  readonly status: string;
  /** ErrorInfo's reason, or what stands for it; empty if the call was accepted. */
  readonly reason: string;
  /** The body; empty over gRPC. */
  readonly text: string;
  /** All but the date; over gRPC what describes the outcome. */
  readonly headers: Readonly<Record<string, unknown>>;
}

/** A client that has one connection for as long as that lives, and never makes another. */
export interface Peer {
  /** Makes the call that it is for, with this `authorization`. */
  call(authorization?: string): Promise<PeerAnswer>;
  /** Whether the one connection is still there. */
  isConnected(): boolean;
  /** The client's port, which tells connections apart. */
  readonly port: number;
  close(): void;
}

const PATH = `/${SessionService.typeName}/CountActiveUsers`;
const JSON_REQUEST = JSON.stringify({ app: "shop", activeWithin: "60s" });

const OK = { status: "ok", reason: "" };

/** gRPC by hand, so that nothing connects anew behind the test's back. */
async function connectGrpc({ grpc }: Guarded): Promise<Peer> {
  const session = connectHttp2(`http://${grpc}`);
  // Without a listener what ends the connection would end the test.
  session.on("error", () => {});
  await once(session, "connect");
  const { socket } = session;
  const { localPort: port = 0 } = socket;
  const message = toBinary(
    CountActiveUsersRequestSchema,
    create(CountActiveUsersRequestSchema, { app: "shop", activeWithin: { seconds: 60n } }),
  );
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);

  return {
    port,
    isConnected: () => !session.closed && !session.destroyed,
    close: () => session.destroy(),
    call: (authorization) =>
      new Promise((resolve, reject) => {
        const stream = session.request({
          ":method": "POST",
          ":path": PATH,
          "content-type": "application/grpc",
          te: "trailers",
          ...(authorization === undefined ? {} : { authorization }),
        });
        const chunks: Buffer[] = [];
        let headers: IncomingHttpHeaders = {};
        const take = (more: IncomingHttpHeaders) => {
          headers = { ...headers, ...more };
        };
        stream.on("response", take).on("trailers", take);
        stream.on("data", (chunk: Buffer) => chunks.push(chunk));
        stream.on("error", reject);
        stream.on("close", () => {
          const entries = Object.entries(headers)
            .filter(([name]) => name.startsWith("grpc-"))
            .map(([name, value]) => [name, `${value}`] as const);
          const shown = { text: "", headers: Object.fromEntries(entries) };
          if (headers["grpc-status"] === undefined) return reject(new Error("no answer"));
          const error = findTrailerError(new Headers(shown.headers));
          if (error) return resolve({ ...refusal(error), ...shown });
          fromBinary(CountActiveUsersResponseSchema, Buffer.concat(chunks).subarray(5));
          resolve({ ...OK, ...shown });
        });
        stream.end(Buffer.concat([prefix, message]));
      }),
  };
}

function refusal(error: ConnectError) {
  const infos = error.findDetails(ErrorInfoSchema);
  assert.deepEqual(
    infos.map(({ domain }) => domain),
    ["latchkey"],
  );
  return { status: Code[error.code], reason: infos[0]?.reason ?? "" };
}

interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

/** HTTP/1.1 over one kept connection. */
async function connectHttp(
  { http }: Guarded,
  { method, path, body }: HttpRequest,
  read: (status: number, bytes: Buffer) => Pick<PeerAnswer, "status" | "reason">,
): Promise<Peer> {
  // One socket, connected before any request and used by all.
  const socket = await dial(http);
  socket.on("error", () => {});
  const { localPort: port = 0 } = socket;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let isUsed = false;
  agent.createConnection = () => {
    if (isUsed) throw new Error("the connection was to stay");
    isUsed = true;
    return socket;
  };
  return {
    port,
    isConnected: () => isOpen(socket),
    close: () => {
      agent.destroy();
      socket.destroy();
    },
    call: (authorization) =>
      new Promise((resolve, reject) => {
        const headers = {
          // As curl spells it; the other clients spell it in lower case.
          ...(authorization === undefined ? {} : { Authorization: authorization }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        };
        const sent = httpRequest({ agent, method, path, headers }, (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("error", reject);
          answer.on("end", () => {
            const bytes = Buffer.concat(chunks);
            const { statusCode: status = 0 } = answer;
            const { date, ...headers } = answer.headers;
            assert.ok(date);
            const shown = { text: bytes.toString(), headers };
            if (status === 200) resolve({ ...OK, ...shown });
            else resolve({ ...read(status, bytes), ...shown });
          });
        });
        sent.on("error", reject);
        sent.end(body);
      }),
  };
}

const connectConnect = (server: Guarded) =>
  connectHttp(server, { method: "POST", path: PATH, body: JSON_REQUEST }, (status, bytes) => {
    const error = errorFromJsonBytes(bytes, undefined, new ConnectError("no error", Code.Unknown));
    assert.equal(status, HTTP_STATUS[error.code]);
    return refusal(error);
  });

/** Of the codes that these calls can be refused with: connectrpc.com/docs/protocol#error-codes. */
const HTTP_STATUS: Partial<Record<Code, number>> = {
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.Unavailable]: 503,
};

/** A Peer for one of the paths that answer errors as rest-sessions does. */
export const connectPath = (server: Guarded, method: "GET" | "DELETE", path: string) =>
  connectHttp(server, { method, path }, (status, bytes) => {
    const { name } = JSON.parse(bytes.toString()) as { name: string };
    return { status: `${status}`, reason: name };
  });

function isOpen(socket: Socket): boolean {
  return !socket.destroyed && !socket.readableEnded;
}

/** A count of an app's users by each wire, and how that refuses who is not authenticated. */
export const PEERS = {
  gRPC: {
    connect: connectGrpc,
    refused: { status: "Unauthenticated", reason: "UNAUTHENTICATED" },
  },
  Connect: {
    connect: connectConnect,
    refused: { status: "Unauthenticated", reason: "UNAUTHENTICATED" },
  },
  HTTP: {
    connect: (server: Guarded) => connectPath(server, "GET", "/shop/activity?dt=60"),
    refused: { status: "401", reason: "unauthenticated" },
  },
} as const;

export type PeerName = keyof typeof PEERS;
export const PEER_NAMES = Object.keys(PEERS) as PeerName[];

/** A client of the command protocol, with the account's login if one is given. */
export async function connectCommand({ command }: Guarded, account?: TestAccount) {
  const client = speak(await dial(command));
  if (account) {
    client.socket.write(request("auth", account.name, account.password));
    const { status, result } = await client.receive();
    assert.equal(status, "Ok", result);
  }
  return { ...client, isConnected: () => isOpen(client.socket) };
}
