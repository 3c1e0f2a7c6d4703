import { Agent } from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import type { Addresses } from "./server.js";

/** The wires that carry typed messages. */
export const WIRES = ["gRPC", "Connect JSON", "Connect binary", "gRPC-Web"] as const;
export type WireName = (typeof WIRES)[number];

/** A client's end of one wire. */
export interface Wire {
  readonly name: WireName;
  client<S extends DescService>(service: S): Client<S>;
  close(): void;
}

export function openWire(name: WireName, { grpc, http }: Addresses, compress = false): Wire {
  const compression = compress
    ? { sendCompression: compressionGzip, acceptCompression: [compressionGzip] }
    : {};
  if (name === "gRPC") {
    const baseUrl = `http://${grpc}`;
    const sessionManager = new Http2SessionManager(baseUrl);
    const transport = createGrpcTransport({ baseUrl, sessionManager, ...compression });
    return wire(name, transport, () => sessionManager.abort());
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const options = {
    baseUrl: `http://${http}`,
    httpVersion: "1.1",
    nodeOptions: { agent },
    ...compression,
  } as const;
  const transport =
    name === "gRPC-Web"
      ? createGrpcWebTransport(options)
      : createConnectTransport({ ...options, useBinaryFormat: name === "Connect binary" });
  return wire(name, transport, () => agent.destroy());
}

function wire(name: WireName, transport: Transport, close: () => void): Wire {
  return { name, client: (service) => createClient(service, transport), close };
}

/** Runs `body` with a client's end of each wire and closes them, whatever happens. */
export async function withWires(
  addresses: Addresses,
  body: (wires: readonly Wire[]) => Promise<void>,
): Promise<void> {
  const wires = WIRES.map((name) => openWire(name, addresses));
  try {
    await body(wires);
  } finally {
    for (const one of wires) one.close();
  }
}
