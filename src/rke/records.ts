import { isIPv4, isIPv6 } from "node:net";
import { RAIDAS } from "./packet.js";

/** A RAIDA server as the records name it. */
export interface RaidaServer {
  /** Its place among the server lines, from 0. */
  readonly position: number;
  /** An IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
  /** The numbers of the key sets that it takes part in. */
  readonly keyIds: readonly number[];
}

/** What the TXT records of a domain say. */
export interface Records {
  /** Key set numbers with the ids of their Content Servers, in the order of the lines. */
  readonly keySets: ReadonlyMap<number, string>;
  readonly servers: readonly RaidaServer[];
  /** The greatest that a line requires; undefined if none does. */
  readonly requiredRaidas: number | undefined;
}

/** An SRV record (RFC 2782). */
export interface Srv {
  readonly name: string;
  readonly port: number;
  /** 0 to 65535, the lowest is first. */
  readonly priority: number;
  readonly weight: number;
}

/** Characters of text that are read: twenty times what 25 servers need. */
const MAX_TEXT = 65_536;

const KEY_SET = /^k(\d{1,3})\s*=\s*([!-~]{1,16})$/i;
const SERVER = /^(?:\[([\da-f:.]{2,45})\]|([\d.]{7,15})):(\d{1,5})((?:\s+k\d{1,3})*)$/i;
const REQUIRED = /^required\s+raidas\s*>=\s*(\d{1,2})$/i;
const CHALLENGE = /^challenge\s*=/i;

/**
 * Reads TXT records, each a list of strings, as rke.md describes their lines. A line that fits
 * none is skipped and handed to `onSkipped`, as is one that says again or otherwise what an earlier
 * line said: a server's address counts once, however often it is listed. Text beyond 64 KiB is not read.
 */
export function parseRecords(
  records: readonly (readonly string[])[],
  onSkipped: (line: string) => void,
): Records {
  const keySets = new Map<number, string>();
  const servers: RaidaServer[] = [];
  const seen = new Set<string>();
  let requiredRaidas: number | undefined;
  let position = 0;

  for (const line of linesOf(records)) {
    const keySet = parseKeySet(line);
    const server = parseServer(line);
    const required = parseRequired(line);
    if (keySet && !keySets.has(keySet.keyId)) {
      keySets.set(keySet.keyId, keySet.csId);
    } else if (server) {
      const name = addressKey(server);
      // A line that is not taken holds its place, so that those after it keep their numbers.
      if (seen.has(name) || position >= RAIDAS) onSkipped(line);
      else servers.push({ ...server, position });
      seen.add(name);
      position += 1;
    } else if (required !== undefined) {
      requiredRaidas = Math.max(required, requiredRaidas ?? 0);
    } else if (!CHALLENGE.test(line)) {
      onSkipped(line);
    }
  }
  return { keySets, servers, requiredRaidas };
}

/**
 * The SRV record to use: of the lowest priority, one drawn by weight (RFC 2782).
 * `random` answers a number from 0 up to 1. Undefined if there is none.
 */
export function chooseSrv(records: readonly Srv[], random: () => number): Srv | undefined {
  const lowest = Math.min(...records.map(({ priority }) => priority));
  const candidates = records.filter(({ priority }) => priority === lowest);
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let left = random() * total;
  for (const candidate of candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  return candidates.at(-1);
}

/**
 * Reads a file of `number host:port` lines, the hosts being addresses as in the records; empty
 * lines and those that begin with `#` say nothing. Throws an Error that names a line that says
 * something else, or a number or address again. The keys of the answer are those of `addressKey`.
 */
export function parseRaidaNumbers(text: string): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, digits, host = ""] = /^\s*(\d{1,2})\s+(\S+)\s*$/.exec(line) ?? [];
    const [number, server] = [Number(digits), parseServer(host)];
    const isNew = ![...numbers.values()].includes(number);
    if (!server || !(number < RAIDAS) || !isNew || numbers.has(addressKey(server))) {
      throw new Error(
        `line ${index + 1} must be a number from 0 to ${RAIDAS - 1} and address:port, each only once`,
      );
    }
    numbers.set(addressKey(server), number);
  }
  return numbers;
}

/** A server's address and port as one text. */
export function addressKey({ address, port }: Pick<RaidaServer, "address" | "port">): string {
  return `${address} ${port}`;
}

function linesOf(records: readonly (readonly string[])[]): string[] {
  return records
    .map((strings) => strings.join(""))
    .join("\n")
    .slice(0, MAX_TEXT)
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

function parseKeySet(line: string) {
  const match = KEY_SET.exec(line);
  const keyId = Number(match?.[1]);
  return match && keyId <= 255 ? { keyId, csId: match[2] ?? "" } : undefined;
}

function parseServer(line: string): Omit<RaidaServer, "position"> | undefined {
  const match = SERVER.exec(line);
  const at = match && addressOf(match);
  if (!match || !at) return;
  const keyIds = (match[4] ?? "").match(/\d+/g)?.map(Number) ?? [];
  return keyIds.every((keyId) => keyId <= 255)
    ? { ...at, keyIds: [...new Set(keyIds)] }
    : undefined;
}

function addressOf([, ipv6 = "", ipv4 = "", digits]: RegExpExecArray) {
  const port = Number(digits);
  if (port < 1 || port > 65_535) return;
  if (isIPv6(ipv6)) return { address: ipv6.toLowerCase(), port };
  return isIPv4(ipv4) ? { address: ipv4, port } : undefined;
}

function parseRequired(line: string): number | undefined {
  const required = Number(REQUIRED.exec(line)?.[1]);
  return required >= 1 && required <= RAIDAS ? required : undefined;
}
