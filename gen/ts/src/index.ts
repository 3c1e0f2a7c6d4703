import { credentials } from "@grpc/grpc-js";
import { parseAddress } from "./address.js";
import { createClients, type Latchkey } from "./clients.js";
import { createNodeConnectTransport } from "./connect-transport.js";
import { createGrpcTransport } from "./grpc-transport.js";
import { DEADLINE, type PolicyOptions } from "./policy.js";
import { serverNameOf } from "./server-name.js";

export { Code, LatchkeyError } from "./error.js";
export type { Latchkey };

/** What TLS is made with, in PEM. */
export interface TlsFiles {
  /** Whom to trust, if not what Node trusts. */
  readonly ca?: Buffer;
  /** The client's certificate and its key, for a server that asks for one. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface LatchkeyOptions extends PolicyOptions {
  /**
   * `host:port` of the server's gRPC listener, or of its HTTP listener for Connect, also as a URL:
   * `https://host:port` is TLS.
   */
  readonly address: string;
  /** TLS, by what Node trusts if it is `{}`; without it none. */
  readonly tls?: TlsFiles | undefined;
  /** `grpc` (over `@grpc/grpc-js`) by default. `connect` is Connect over HTTP/1.1. */
  readonly transport?: "grpc" | "connect";
}

/** Clients of the server at `address`, for Node; `latchkey-client/web` has those for browsers. */
export function createLatchkey(options: LatchkeyOptions): Latchkey {
  const transport = openTransport(options);
  return createClients(transport, options, transport.close);
}

/** What `createLatchkey` calls through: no key, no deadlines, nothing is made again. */
export function openTransport({
  address,
  tls: given,
  transport = "grpc",
  deadline = DEADLINE,
}: LatchkeyOptions) {
  const { target, isTls } = parseAddress(address, transport);
  if (isTls === false && given) {
    throw new TypeError("the address of Latchkey says http:, and the options ask for TLS");
  }
  const tls = given ?? (isTls ? {} : undefined);
  if (transport === "connect") {
    return createNodeConnectTransport(`${tls ? "https" : "http"}://${target}`, tls);
  }
  if (!tls) return createGrpcTransport(target, credentials.createInsecure(), deadline);
  const { ca = null, key = null, cert = null } = tls;
  const { channel, verify } = serverNameOf(target);
  const ssl = credentials.createSsl(ca, key, cert, verify);
  return createGrpcTransport(target, ssl, deadline, channel);
}
