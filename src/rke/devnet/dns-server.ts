import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import dnsPacket, { type Answer, type Packet, type Question } from "dns-packet";
import { bindUdp, closeUdp } from "./udp.js";

/** What a name has; a type that is left out has no record. */
export interface DnsRecords {
  readonly srv?: readonly SrvRecord[];
  /** One text for each record; it is cut into the strings of at most 255 bytes that DNS has. */
  readonly txt?: readonly string[];
  /** IPv4 addresses. */
  readonly a?: readonly string[];
}

export interface SrvRecord {
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

export interface DnsServerOptions {
  /** The IPv4 address to listen on. */
  readonly host: string;
  /** Records by name, in small letters and without a final dot. Read at each query, so its owner may change it. */
  readonly zone: ReadonlyMap<string, DnsRecords>;
}

export interface DnsServer {
  /** `host:port`, the same over UDP and TCP. */
  readonly address: string;
  close(): Promise<void>;
}

/** The most that an answer by UDP may have (RFC 1035, 4.2.1); a longer one is asked for anew, by TCP. */
const UDP_BYTES = 512;
const STRING_BYTES = 255;
const TTL_SECONDS = 1;
/** Response codes of RFC 1035, 4.1.1, in the low bits of the flags. */
const RCODE = { noError: 0, notImplemented: 4, nameError: 3 };
/** A port that is free over UDP may be taken over TCP; then another one is tried. */
const PORT_TRIES = 10;

/**
 * A DNS server with the authority over its zone: over UDP, and over TCP for what is too long for
 * that. Rejects if it cannot listen. What cannot be read as a query is dropped.
 */
export async function startDnsServer({ host, zone }: DnsServerOptions): Promise<DnsServer> {
  const respond = (query: Buffer): Packet | undefined => {
    const packet = decode(query);
    return packet?.type === "query" ? answer(packet, zone) : undefined;
  };

  const { udp, tcp, port } = await listen(host);
  const connections = new Set<Socket>();
  udp.on("message", (query, from) => {
    const response = respond(query);
    if (!response) return;
    const whole = dnsPacket.encode(response);
    const sent = whole.length > UDP_BYTES ? dnsPacket.encode(truncate(response)) : whole;
    udp.send(sent, from.port, from.address);
  });
  tcp.on("connection", (connection) => {
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
    connection.on("error", () => connection.destroy());
    let received: Buffer = Buffer.alloc(0);
    connection.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      // Each message has its length before it, in two bytes.
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
        const end = 2 + received.readUInt16BE();
        const response = respond(received.subarray(2, end));
        if (!response) return connection.destroy();
        connection.write(dnsPacket.streamEncode(response));
        received = received.subarray(end);
      }
    });
  });

  return {
    address: `${host}:${port}`,
    async close() {
      for (const connection of connections) connection.destroy();
      await Promise.all([closeUdp(udp), new Promise((ended) => tcp.close(ended))]);
    },
  };
}

async function listen(host: string) {
  for (let tries = 1; ; tries++) {
    const udp = createSocket("udp4");
    const port = await bindUdp(udp, host);
    const tcp = createServer().listen({ host, port });
    try {
      await once(tcp, "listening");
      return { udp, tcp, port };
    } catch (error) {
      await closeUdp(udp);
      const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!isTaken || tries === PORT_TRIES) throw error;
    }
  }
}

function decode(bytes: Buffer): Packet | undefined {
  try {
    return dnsPacket.decode(bytes);
  } catch {
    return undefined;
  }
}

function answer(query: Packet, zone: DnsServerOptions["zone"]): Packet {
  const [question, ...more] = query.questions ?? [];
  const isOne = question !== undefined && more.length === 0;
  const answers = isOne ? answersTo(question, zone) : [];
  let rcode = isOne ? RCODE.noError : RCODE.notImplemented;
  if (isOne && !exists(question.name.toLowerCase(), zone)) rcode = RCODE.nameError;
  // The bit of the query that asks for recursion comes back as it came.
  const recursion = (query.flags ?? 0) & dnsPacket.RECURSION_DESIRED;
  return {
    type: "response",
    id: query.id,
    flags: dnsPacket.AUTHORITATIVE_ANSWER | recursion | rcode,
    questions: query.questions,
    answers,
  };
}

function answersTo({ name, type }: Question, zone: DnsServerOptions["zone"]): Answer[] {
  const records = zone.get(name.toLowerCase());
  const common = { name, ttl: TTL_SECONDS };
  switch (type) {
    case "SRV":
      return (records?.srv ?? []).map((data) => ({ ...common, type, data }));
    case "TXT":
      return (records?.txt ?? []).map((text) => ({ ...common, type, data: toStrings(text) }));
    case "A":
      return (records?.a ?? []).map((data) => ({ ...common, type, data }));
    default:
      return [];
  }
}

/** A name exists too if only names below it have records (RFC 8020). */
function exists(name: string, zone: DnsServerOptions["zone"]): boolean {
  return zone.has(name) || [...zone.keys()].some((other) => other.endsWith(`.${name}`));
}

function toStrings(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const count = Math.max(1, Math.ceil(bytes.length / STRING_BYTES));
  return Array.from({ length: count }, (_, at) =>
    bytes.subarray(at * STRING_BYTES, (at + 1) * STRING_BYTES),
  );
}

function truncate(response: Packet): Packet {
  const flags = (response.flags ?? 0) | dnsPacket.TRUNCATED_RESPONSE;
  return { ...response, flags, answers: [] };
}
