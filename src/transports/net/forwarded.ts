import { isIP } from "node:net";
import { plainAddress } from "../../lib/network.js";

/** Reads one of a call's headers, repeated ones joined by commas; undefined if it has none. */
export type ReadForwarded = (name: "x-forwarded-for" | "forwarded") => string | undefined;

/** Proxies that a call may have come through; a longer way is not believed. */
const MAX_HOPS = 32;
/** Characters of a Forwarded header, which has to be read from its begin. */
const MAX_FORWARDED = 4_096;

/** An address, IPv6 with brackets or without; then perhaps a port, which IPv6 without has none of. */
const NODE =
  /^(?:\[([\da-f.:]{2,45})\](?::\d{1,5})?|([\d.]{7,15})(?::\d{1,5})?|([\da-f.:]{2,45}))$/i;

/** One `name=value` of a Forwarded header and what ends it: RFC 7239, 4. */
const PAIR = /[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*))[ \t]*(,|;|$)/y;

/**
 * Decides whom a call comes from that reached the server from `peer`: returns the IP address that
 * trusted proxies forward it for, or undefined for the peer itself. Each proxy appends the address
 * that it was reached from, so that of all that is listed only what stands right of the last
 * untrusted address was written by trusted proxies: that address is the caller's; if all are
 * trusted, the first is. Nothing is believed of a peer that is not trusted, nor of a list with
 * something malformed where it would be read, nor of two headers that do not agree: a proxy may set
 * one of them and pass the other on as the caller wrote it. Takes time linear in the headers'
 * length; never throws.
 */
export function forwardedAddress(
  peer: string,
  header: ReadForwarded,
  isTrusted: (ip: string) => boolean,
): string | undefined {
  if (!isTrusted(peer)) return undefined;
  const [list, elements] = [header("x-forwarded-for"), header("forwarded")];
  const listed = list === undefined ? undefined : callerOf(listedHops(list), isTrusted);
  if (elements === undefined) return listed;
  const described = callerOf(describedHops(elements), isTrusted);
  return list === undefined || listed === described ? described : undefined;
}

/** The caller's address among those of its way, the nearest first; undefined if that is unclear. */
function callerOf(hops: Iterable<string>, isTrusted: (ip: string) => boolean): string | undefined {
  let farthest: string | undefined;
  let count = 0;
  for (const hop of hops) {
    const ip = readNode(hop);
    if (ip === undefined || ++count > MAX_HOPS) return undefined;
    if (!isTrusted(ip)) return ip;
    farthest = ip;
  }
  return farthest;
}

function readNode(text: string): string | undefined {
  const [, bracketed, v4, bare] = NODE.exec(text.trim()) ?? [];
  const ip = bracketed ?? v4 ?? bare;
  if (ip === undefined || isIP(ip) === 0 || (bracketed && isIP(bracketed) !== 6)) return undefined;
  return plainAddress(ip.toLowerCase());
}

/** The entries of X-Forwarded-For from the right, read no farther than they are asked for. */
function* listedHops(text: string): Generator<string> {
  let end = text.length;
  while (end >= 0) {
    const comma = end === 0 ? -1 : text.lastIndexOf(",", end - 1);
    yield text.slice(comma + 1, end);
    end = comma;
  }
}

/**
 * The `for` of each element of a Forwarded header, the last first; none if the header is not well
 * formed. A quotation mark hides the commas after it, so a caller who opens one and never closes it
 * could swallow what the proxies appended: only a whole that is well formed says anything.
 */
function describedHops(text: string): string[] {
  if (text.length > MAX_FORWARDED) return [];
  const hops: string[] = [];
  let hop: string | undefined;
  for (let at = 0; ; at = PAIR.lastIndex) {
    PAIR.lastIndex = at;
    const match = PAIR.exec(text);
    if (!match) return [];
    const [, name = "", quoted, token = "", end] = match;
    if (name.toLowerCase() === "for") {
      if (hop !== undefined) return [];
      hop = quoted?.replace(/\\(.)/g, "$1") ?? token;
    }
    if (end === ";") continue;
    hops.push(hop ?? "");
    if (end === "") return hops.reverse();
    hop = undefined;
  }
}
