import { isIP } from "node:net";
import { LatchkeyError } from "../domain/error.js";
import { isLoopback, parseHost, parseUnixAddress } from "../lib/host.js";
import { type Network, parseNetwork } from "../lib/network.js";
import type { StoreLocation } from "../stores/index.js";
import type { PublicPart } from "../transports/net/listener.js";
import type { TlsFiles } from "../transports/net/tls.js";
import { LOG_LEVELS, type LogLevel } from "./settings.js";

// Each function that reads answers what a setting's text stands for, or throws `invalid` with one
// line that names the setting and says what would be right.

const PUBLIC_PARTS = ["health", "reflection", "metrics"] as const satisfies readonly PublicPart[];

/** What a setting was given, and the name by which it was: a variable or a flag. */
export interface Given {
  readonly name: string;
  readonly text: string;
}

/** As `readAddress`; a socket file, too, which only this machine reaches. */
export function readAddressOrFile(given: Given, allowOpen: boolean): string | null {
  const { name, text } = given;
  if (!text.startsWith("unix:")) return readAddress(given, allowOpen);
  if (parseUnixAddress(text)) return text;
  throw wrong(
    name,
    `is ${JSON.stringify(text)}; it must be unix:PATH of at most 107 bytes, such as unix:/run/latchkey/http.sock, or with its permissions after it, unix:PATH,mode=660`,
  );
}

export function readAddress({ name, text }: Given, allowOpen: boolean): string | null {
  if (text === "off") return null;
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (!match || !host || Number(match[3]) > 65_535 || (match[1] && isIP(match[1]) !== 6)) {
    throw wrong(
      name,
      `is ${JSON.stringify(text)}; it must be host:port such as 127.0.0.1:8080, or off`,
    );
  }
  if (!isLoopback(host) && !allowOpen) {
    throw wrong(
      name,
      `is ${text}, which others can reach, and callers are not authenticated: use 127.0.0.1, or set LATCHKEY_AUTH=required, or LATCHKEY_ALLOW_OPEN=true`,
    );
  }
  return text;
}

export function isOpen(address: string | null): address is string {
  if (address?.startsWith("unix:")) return false;
  return address !== null && !isLoopback(address.slice(0, address.lastIndexOf(":")));
}

export function readAuth({ name, text }: Given): "off" | "required" {
  if (text === "off" || text === "required") return text;
  throw wrong(name, `is ${JSON.stringify(text)}; it must be off or required`);
}

export function readPublicParts({ name, text }: Given): readonly PublicPart[] {
  return readList(text).map((entry) => {
    const part = PUBLIC_PARTS.find((one) => one === entry);
    if (part) return part;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be some of ${PUBLIC_PARTS.join(",")}, or none`,
    );
  });
}

export function readTlsFiles(cert: Given, key: Given, clientCa: Given): TlsFiles | null {
  const [certFile, keyFile, caFile] = [cert, key, clientCa].map(({ text }) =>
    text === "none" || text === "" ? null : text,
  );
  if (certFile && keyFile) return { cert: certFile, key: keyFile, clientCa: caFile ?? null };
  if (certFile) throw wrong(cert.name, `needs ${key.name} beside it, the file of its private key`);
  if (keyFile) throw wrong(key.name, `needs ${cert.name} beside it, the file of its certificate`);
  if (caFile) throw wrong(clientCa.name, `needs ${cert.name} and ${key.name} beside it`);
  return null;
}

export function readHosts({ name, text }: Given): readonly string[] {
  return readList(text).map((entry) => {
    const host = entry.toLowerCase();
    if (parseHost(host) === host) return host;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be host names without ports, such as sessions.example,[2001:db8::1], or none`,
    );
  });
}

export function readOrigins({ name, text }: Given): readonly string[] {
  return readList(text).map((entry) => {
    if (entry === "*") {
      throw wrong(
        name,
        "may not be *, which lets every web page in: list the origins that may call",
      );
    }
    const [, scheme = "", host = ""] = /^([a-z][a-z\d+.-]*):\/\/(\S+)$/.exec(entry) ?? [];
    // What browsers send for a scheme of their own (an extension's, an app's) is not ours to know.
    const isWeb = scheme === "http" || scheme === "https";
    const sent = isWeb && URL.canParse(entry) ? new URL(entry).origin : entry;
    if (parseHost(host) !== undefined && sent === entry) return entry;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be origins as browsers send them, such as https://app.example,http://localhost:3000, or none`,
    );
  });
}

export function readNetworks({ name, text }: Given): readonly (Network | "unix:")[] {
  return readList(text).map((entry) => {
    if (entry === "unix:") return entry;
    const network = parseNetwork(entry);
    if (network && network.prefix > 0) return network;
    if (network) {
      throw wrong(
        name,
        `may not have ${entry}, by which every caller could say who it is: list your proxies`,
      );
    }
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be IP networks in CIDR, such as 10.0.0.0/8,192.0.2.7,2001:db8::/32, or unix: for socket files, or none`,
    );
  });
}

/** The parts of a comma-separated list; `none` has none. */
export function readList(text: string): string[] {
  return text === "none" ? [] : text.split(",").map((part) => part.trim());
}

export function readStore({ name, text }: Given): StoreLocation {
  if (text === "memory:") return { scheme: "memory" };
  const path = /^sqlite:(.+)$/s.exec(text)?.[1];
  if (path) return { scheme: "sqlite", path };
  throw wrong(name, `is ${JSON.stringify(text)}; it must be sqlite:PATH or memory:`);
}

export function readWhole({ name, text }: Given, min: number, max: number): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw wrong(name, `is ${JSON.stringify(text)}; it must be a whole number from ${min} to ${max}`);
}

export function readTurnCalls(given: Given): number | null {
  return given.text === "off" ? null : readWhole(given, 1, 10_000);
}

/** Infinity: no limit. */
export function readMost(given: Given, max: number): number {
  return given.text === "off" ? Number.POSITIVE_INFINITY : readWhole(given, 1, max);
}

/** Seconds in, milliseconds out; null: no limit. */
export function readIdle(given: Given, max: number): number | null {
  return given.text === "off" ? null : readWhole(given, 1, max) * 1_000;
}

export function readPath({ name, text }: Given): string | null {
  if (text !== "") return text === "none" ? null : text;
  throw wrong(name, "is empty; it must be a path, or none");
}

export function readResolvers({ name, text }: Given): readonly string[] {
  if (text === "system") return [];
  return text.split(",").map((part) => {
    const entry = part.trim();
    const [, v6, v4 = entry, port = "53"] =
      /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(entry) ?? [];
    const isPort = Number(port) > 0 && Number(port) <= 65_535;
    if (isPort && (v6 === undefined ? isIP(v4) > 0 : isIP(v6) === 6)) return entry;
    throw wrong(
      name,
      `has ${JSON.stringify(entry)}; it must be IP addresses, each with a port if that is not 53, such as 192.0.2.53,127.0.0.1:5353,[2001:db8::1]:53, or system`,
    );
  });
}

export function readBoolean({ name, text }: Given): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw wrong(name, `is ${JSON.stringify(text)}; it must be true or false`);
}

/** rest-sessions names a format of request lines, or `none` for no lines. */
export function readLogLevel(
  { name, text, isSet }: Given & { isSet: boolean },
  restLevel: string | undefined,
): LogLevel {
  if (!isSet && restLevel !== undefined && restLevel !== "none") return "debug";
  const level = LOG_LEVELS.find((one) => one === text);
  if (level) return level;
  throw wrong(name, `is ${JSON.stringify(text)}; it must be one of ${LOG_LEVELS.join(", ")}`);
}

export function wrong(name: string, message: string): LatchkeyError {
  return new LatchkeyError("invalid", `${name} ${message}`);
}
