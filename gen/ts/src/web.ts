import { createConnectTransport } from "@connectrpc/connect-web";
import { createClients, type Latchkey } from "./clients.js";
import type { PolicyOptions } from "./policy.js";
import { withUnavailable } from "./unavailable.js";

export { Code, LatchkeyError } from "./error.js";
export type { Latchkey };

export interface LatchkeyOptions extends PolicyOptions {
  /** The origin of the server's HTTP listener, such as `https://sessions.example`. */
  readonly baseUrl: string;
}

/**
 * Clients that speak Connect by `fetch`, for browsers and whatever else has it; nothing of Node is
 * used. The server must allow the page's origin (LATCHKEY_HTTP_ORIGINS). A key in a page is known
 * to everybody who opens it.
 */
export function createLatchkey({ baseUrl, ...options }: LatchkeyOptions): Latchkey {
  const transport = createConnectTransport({ baseUrl, useBinaryFormat: true });
  // That is how fetch fails where the network does.
  const kind = withUnavailable(transport, (cause) => cause.name === "TypeError");
  return createClients(kind, options, () => {});
}
