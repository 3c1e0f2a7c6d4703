import { isIPv4, isIPv6 } from "node:net";
import { plainAddress } from "../../lib/network.js";

/** Bytes of a longest header, with what a proxy adds to it. nginx takes as many. */
const MAX_HEADER = 4_096;

/** Bytes of a longest line of version 1, its end too. */
const MAX_LINE = 107;

const LINE = Buffer.from("PROXY ");
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n");

/** What stands before the addresses of version 2: signature, command, family, length. */
const FIXED = SIGNATURE.length + 4;

/** By the byte for family and transport: bytes of one address, and of all that is said of both. */
const FAMILIES = new Map([
  [0x11, { address: 4, block: 12 }],
  [0x21, { address: 16, block: 36 }],
]);

/** Families that say nothing of use: none, and a socket file of the proxy's own machine. */
const WITHOUT_ADDRESS = [0x00, 0x31];

/** What an IPv4 address begins with that is written as IPv6. */
const MAPPED = Buffer.from("00000000000000000000ffff", "hex");

export interface ProxyHeader {
  /** Bytes of the header; what follows is the connection's own. */
  readonly length: number;
  /** Whom the proxy connects for; null: the connection is the proxy's own, or it does not say. */
  readonly source: { readonly ip: string; readonly port: number } | null;
}

/**
 * Reads the header that a proxy begins a connection with, of version 1 or 2 of the PROXY protocol
 * (haproxy.org, proxy-protocol.txt). `bytes` are the first of the connection, as many as have come.
 * Undefined if they are too few to tell, null if they begin no such header. Never throws.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | null | undefined {
  if (isPrefix(bytes, LINE)) return readLine(bytes);
  if (isPrefix(bytes, SIGNATURE)) return readBinary(bytes);
  return null;
}

/** Whether one of the two begins with the other. */
function isPrefix(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  return bytes.subarray(0, length).equals(start.subarray(0, length));
}

function readLine(bytes: Buffer): ProxyHeader | null | undefined {
  const line = bytes.toString("latin1", 0, MAX_LINE);
  const end = line.indexOf("\r\n");
  if (end < 0) return bytes.length < MAX_LINE ? undefined : null;
  const length = end + 2;
  const [, family, ip = "", to = "", port = "", toPort = "", more] = line.slice(0, end).split(" ");
  if (family === "UNKNOWN") return { length, source: null };
  const isOfFamily = family === "TCP4" ? isIPv4 : family === "TCP6" ? isIPv6Bare : () => false;
  if (!isOfFamily(ip) || !isOfFamily(to) || !isPort(port) || !isPort(toPort)) return null;
  if (more !== undefined) return null;
  return { length, source: { ip: plainAddress(ip.toLowerCase()), port: Number(port) } };
}

/** Without a zone, which means nothing on another machine. */
function isIPv6Bare(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function readBinary(bytes: Buffer): ProxyHeader | null | undefined {
  if (bytes.length < FIXED) return undefined;
  const command = bytes[SIGNATURE.length];
  const family = bytes[SIGNATURE.length + 1] ?? 0;
  const length = FIXED + bytes.readUInt16BE(SIGNATURE.length + 2);
  if ((command !== 0x20 && command !== 0x21) || length > MAX_HEADER) return null;
  if (bytes.length < length) return undefined;
  // LOCAL: the proxy asks whether the server is well; what else it says is to be passed over.
  if (command === 0x20 || WITHOUT_ADDRESS.includes(family)) return { length, source: null };
  const sizes = FAMILIES.get(family);
  if (!sizes || length < FIXED + sizes.block) return null;
  const ip = textOf(bytes.subarray(FIXED, FIXED + sizes.address));
  return { length, source: { ip, port: bytes.readUInt16BE(FIXED + 2 * sizes.address) } };
}

/** An address of four bytes or sixteen. */
function textOf(address: Buffer): string {
  if (address.length === 4) return address.join(".");
  if (address.subarray(0, MAPPED.length).equals(MAPPED)) return address.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, at) => address.readUInt16BE(2 * at).toString(16));
  // The one short form, in which sockets show addresses too: RFC 5952.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
