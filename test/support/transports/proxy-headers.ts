import type { ProxyHeaders } from "../../../src/transports/net/proxied-connections.js";

/** Of a listener that no proxy sends headers to. */
export const NO_PROXY_HEADERS: ProxyHeaders = { areSentBy: () => false, onMissing: () => {} };
