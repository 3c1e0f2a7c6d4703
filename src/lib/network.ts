import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";

/**
 * The network that stands for one peer: an IPv4 address itself, also where it
 * is written as IPv6 (`::ffff:192.0.2.1`), and the /64 of an IPv6 address, which
 * a single host can have all of. What is no address stands for itself.
 */
export function networkOf(address: string): string {
  const groups = ipv6Groups(address);
  if (groups === undefined) return address;
  return mappedAddress(groups) ?? `${prefixOf(groups, 4)}::/64`;
}

/**
 * The site that a peer's network belongs to: the /48 of an IPv6 address, which one customer gets,
 * or the /24 of an IPv4 address. What is no address stands for itself.
 */
export function siteOf(address: string): string {
  const groups = ipv6Groups(address);
  const ip = groups === undefined ? address : mappedAddress(groups);
  if (groups !== undefined && ip === undefined) return `${prefixOf(groups, 3)}::/48`;
  if (ip === undefined || !isIPv4(ip)) return address;
  return `${ip.slice(0, ip.lastIndexOf("."))}.0/24`;
}

/** Whether `siteOf` answered the site of an IPv6 address. */
export function isIPv6Site(site: string): boolean {
  return site.endsWith("::/48");
}

/** The eight numbers of an IPv6 address, or undefined if it is none. */
function ipv6Groups(address: string): number[] | undefined {
  const [ip = ""] = address.split("%");
  return isIPv6(ip) ? groupsOf(ip) : undefined;
}

/** The IPv4 address that an IPv6 address stands for (`::ffff:192.0.2.1`), or undefined. */
function mappedAddress(groups: readonly number[]): string | undefined {
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!isMapped) return undefined;
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join(".");
}

function prefixOf(groups: readonly number[], count: number): string {
  return groups
    .slice(0, count)
    .map((group) => group.toString(16))
    .join(":");
}

/** An IP address in the one form of its family: `::ffff:192.0.2.1`, as a socket that takes both
 * families shows IPv4 peers, is 192.0.2.1. */
export function plainAddress(ip: string): string {
  return ip.replace(/^::ffff:(?=\d+\.)/i, "");
}

/** The addresses that begin with the same `prefix` bits as `address`. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
}

/** A network in CIDR, `192.0.2.0/24`; an address alone is a network of one. Undefined for anything
 * else, and for IPv4 networks that are written as IPv6. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = "", bits] = /^([\da-f.:]{2,45})(?:\/(\d{1,3}))?$/i.exec(text) ?? [];
  const family = isIP(address);
  if (family === 0 || plainAddress(address) !== address) return undefined;
  const most = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : Number(bits);
  return prefix > most ? undefined : { address, prefix };
}

/** Whether a peer is in one of the networks: an IP address, or `unix:PATH` if `unix:` is one of
 * them. Of anything else, false. */
export function createNetworkRule(
  networks: readonly (Network | "unix:")[],
): (peer: string) => boolean {
  if (networks.length === 0) return () => false;
  const list = new BlockList();
  for (const network of networks) {
    if (network === "unix:") continue;
    const { address, prefix } = network;
    list.addSubnet(address, prefix, isIPv4(address) ? "ipv4" : "ipv6");
  }
  const hasUnix = networks.includes("unix:");
  return (text) => {
    if (text.startsWith("unix:")) return hasUnix;
    const [ip = ""] = plainAddress(text).split("%");
    const family = isIP(ip);
    return family !== 0 && list.check(ip, family === 4 ? "ipv4" : "ipv6");
  };
}

/** The eight numbers of a valid IPv6 address. */
function groupsOf(ip: string): number[] {
  const [head = [], tail] = ip.split("::").map(partsOf);
  if (!tail) return head;
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0);
  return [...head, ...zeros, ...tail];
}

function partsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((part) => {
    if (!isIPv4(part)) return [Number.parseInt(part, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}
