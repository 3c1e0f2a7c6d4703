import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { openRest } from "./rest.js";
import type { Addresses } from "./server.js";
import type { WireName } from "./wires.js";

/** A client's end of a wire that sends what it is given, be it a message or not. */
export interface RawWire {
  /** Whether the wire's messages are JSON. */
  readonly json: boolean;
  /** Sends a request's bytes; rejects with a ConnectError if the call is not answered. */
  send(rpc: string, bytes: Uint8Array): Promise<void>;
  close(): void;
}

export function openRawWire(name: WireName, { grpc, http }: Addresses): RawWire {
  switch (name) {
    case "gRPC":
      return rawGrpc(grpc);
    case "gRPC-Web":
      return rawGrpcWeb(http);
    default:
      return rawConnect(http, name === "Connect JSON");
  }
}

/** Milliseconds after which an answer is given up. */
const PATIENCE = 20_000;

const pathOf = (rpc: string) => `/${SessionService.typeName}/${rpc}`;
const same = (bytes: Buffer) => bytes;

function rawGrpc(address: string): RawWire {
  const client = new Client(address, credentials.createInsecure());
  return {
    json: false,
    send: (rpc, bytes) =>
      new Promise((resolve, reject) => {
        const body = Buffer.from(bytes);
        const options = { deadline: Date.now() + PATIENCE };
        client.makeUnaryRequest(pathOf(rpc), same, same, body, new Metadata(), options, (error) => {
          if (!error) return resolve();
          const details = error.metadata.get("grpc-status-details-bin").map(toBase64);
          const headers = new Headers({ "grpc-status": `${error.code}` });
          headers.set("grpc-message", encodeURIComponent(error.details));
          for (const one of details) headers.set("grpc-status-details-bin", one);
          reject(findTrailerError(headers));
        });
      }),
    close: () => client.close(),
  };
}

function toBase64(bytes: string | Buffer): string {
  return Buffer.from(bytes).toString("base64");
}

function rawConnect(address: string, json: boolean): RawWire {
  const rest = openRest(address, false);
  const type = json ? "application/json" : "application/proto";
  return {
    json,
    async send(rpc, content) {
      const { status, bytes } = await rest.call("POST", pathOf(rpc), { content, type });
      if (status === 200) return;
      throw errorFromJsonBytes(bytes, undefined, new ConnectError(`HTTP ${status}`, Code.Unknown));
    },
    close: rest.close,
  };
}

function rawGrpcWeb(address: string): RawWire {
  const rest = openRest(address, false);
  const type = "application/grpc-web+proto";
  return {
    json: false,
    async send(rpc, bytes) {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(bytes.length, 1);
      const content = Buffer.concat([prefix, bytes]);
      const answer = await rest.call("POST", pathOf(rpc), { content, type });
      if (answer.status !== 200) throw new ConnectError(`HTTP ${answer.status}`, Code.Unknown);
      const trailer = readTrailer(answer.bytes);
      const { "grpc-status": status } = answer.headers;
      if (!trailer && status === undefined) throw new ConnectError("no trailer", Code.Unknown);
      const error = findTrailerError(trailer ?? new Headers(toRecord(answer.headers)));
      if (error) throw error;
    },
    close: rest.close,
  };
}

/** The trailer of a gRPC-Web answer: the frame whose first bit is set. */
function readTrailer(bytes: Buffer): Headers | null {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (bytes.readUInt8(at) & 0x80) return trailerParse(bytes.subarray(at + 5, end));
    at = end;
  }
  return null;
}

function toRecord(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, `${value}`]));
}
