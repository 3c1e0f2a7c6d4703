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

/** A socket file to listen on. */
export interface UnixAddress {
  readonly path: string;
  /** The file's permissions. */
  readonly mode: number;
}

/** Bytes of a socket file's path on Linux; it is cut at more on some systems. */
const MAX_PATH = 107;

/**
 * Reads `unix:PATH` or `unix:PATH,mode=660`; the mode is 600 if none is given. Undefined if it is
 * of no such form, or the path is too long for the system.
 */
export function parseUnixAddress(text: string): UnixAddress | undefined {
  const [, path, mode = "600"] = /^unix:([^\0]+?)(?:,mode=0?([0-7]{3}))?$/s.exec(text) ?? [];
  if (path === undefined || Buffer.byteLength(path) > MAX_PATH) return undefined;
  return { path, mode: Number.parseInt(mode, 8) };
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
