import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import type { ChannelOptions, VerifyOptions } from "@grpc/grpc-js";

/** What TLS over `@grpc/grpc-js` needs for one address. */
export interface ServerName {
  readonly channel: ChannelOptions;
  readonly verify: VerifyOptions;
}

/**
 * Returns how TLS names the server at `address` (`host:port`) and checks its certificate: nothing
 * of its own for a host name. `@grpc/grpc-js` sends the host as the server name, which may not be
 * an IP address (RFC 6066, section 3), and since Node 26 fails there. For an address it sends
 * the reverse name instead, as RFC 8738, section 6, does; the certificate must still be one of the
 * address.
 */
export function serverNameOf(address: string): ServerName {
  const host = address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  const version = isIP(host);
  if (version === 0) return { channel: {}, verify: {} };
  return {
    channel: { "grpc.ssl_target_name_override": reverseName(host, version) },
    verify: { checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate) },
  };
}

/** The name under which DNS has an address (RFC 1035, section 3.5, and RFC 3596, section 2.5). */
function reverseName(host: string, version: number): string {
  if (version === 4) return `${host.split(".").reverse().join(".")}.in-addr.arpa`;
  const [address = ""] = host.split("%", 1);
  const [head = "", tail] = address.split("::");
  const groups = (part: string) => part.split(":").filter(Boolean).flatMap(widen);
  const before = groups(head);
  const after = groups(tail ?? "");
  const zeros = new Array<string>(8 - before.length - after.length).fill("0000");
  const digits = [...before, ...(tail === undefined ? [] : zeros), ...after].join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

/** Four hexadecimal digits of a group, eight of an IPv4 address at the end. */
function widen(group: string): string[] {
  if (!group.includes(".")) return [group.padStart(4, "0")];
  const hex = group.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
  return [hex.slice(0, 2).join(""), hex.slice(2).join("")];
}
