import { isIP } from "node:net";

/** A DNS name, an IPv4 address, or an IPv6 address in brackets; then perhaps a port. */
const HOST = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{0,5})?$/i;

/**
 * The host in the value of a Host header (RFC 9110, 7.2), in lower case and
 * without its port, an IPv6 address in brackets. Undefined if it is of no such form.
 */
export function parseHost(text: string): string | undefined {
  const host = HOST.exec(text)?.[1]?.toLowerCase();
  return host?.startsWith("[") && !isAddress(host) ? undefined : host;
}

/** Whether a host, as `parseHost` answers it, is an IP address and no name. */
export function isAddress(host: string): boolean {
  return host.startsWith("[") ? isIP(host.slice(1, -1)) === 6 : isIP(host) === 4;
}

/** Whether a host is this machine's own whatever DNS says; IPv6 with brackets or without. */
export function isLoopback(host: string): boolean {
  return (
    host === "localhost" ||
    host === "[::1]" ||
    host === "::1" ||
    (isIP(host) === 4 && host.startsWith("127."))
  );
}
