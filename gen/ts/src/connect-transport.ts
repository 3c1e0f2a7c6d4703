import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { TlsFiles } from "./index.js";
import { withUnavailable } from "./unavailable.js";

/** A Transport that speaks Connect over HTTP/1.1, with connections that are kept. */
export function createNodeConnectTransport(
  baseUrl: string,
  tls: TlsFiles | undefined,
): Transport & { close(): void } {
  const agent = tls
    ? new HttpsAgent({ keepAlive: true, ...tls })
    : new HttpAgent({ keepAlive: true });
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    nodeOptions: { agent },
    useBinaryFormat: true,
  });
  // Node's errors of sockets, names and TLS have a code; no other cause has.
  return {
    ...withUnavailable(transport, (cause) => "code" in cause),
    close: () => agent.destroy(),
  };
}
