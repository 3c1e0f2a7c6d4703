import { createHash } from "node:crypto";
import { createSocket, type RemoteInfo } from "node:dgram";
import { deriveShare } from "../derivation.js";
import {
  makeResponse,
  openRequest,
  parseRequest,
  RESPONSE_NONCE,
  type RequestHeader,
  type ResponseHeader,
  type ShareQuery,
  STATUS,
} from "../packet.js";
import { AN, type Coin } from "../wallet.js";
import type { Fault } from "./fault.js";
import { bindUdp, closeUdp } from "./udp.js";

export interface RaidaServerOptions {
  /** The IPv4 address to listen on. */
  readonly host: string;
  /** 0 to 24. */
  readonly raida: number;
  /** The one coin that it knows. */
  readonly coin: Coin;
  /** The 32-byte secret that was uploaded to it; undefined if there is none for this query. */
  readonly secretFor: (query: ShareQuery) => Buffer | undefined;
  /** Bytes of a share. */
  readonly shareBytes: number;
  /** What is wrong with it, asked at each request. */
  readonly fault: () => Fault | undefined;
  /** Told of each share that it gives, as it should be, just before it is sent. */
  readonly onShare: (query: ShareQuery) => void;
  readonly random: (size: number) => Buffer;
}

export interface RaidaServer {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Where bit flips are to go: behind the header, and before the two bytes that end a datagram. */
const HEADER_BYTES = 48;
const END_BYTES = 2;
const KEY_BYTES = 32;
/** Statuses that refuse, but for the one of a bad HMAC, all mean the same to a client. */
const UNKNOWN = 1;
/** Forged datagrams between two turns of the event loop. */
const FLOOD_SLICE = 64;

/**
 * A RAIDA server over UDP that gives key shares (encryption type 4) to the owner of its coin.
 * Rejects if it cannot listen. What is no share request for its number is dropped.
 */
export async function startRaidaServer(options: RaidaServerOptions): Promise<RaidaServer> {
  const { host, raida, coin, secretFor, shareBytes, onShare, random } = options;
  const key = createHash("sha256")
    .update(coin.ans.subarray(raida * AN, (raida + 1) * AN))
    .digest();
  const socket = createSocket("udp4");
  const elsewhere = createSocket("udp4");
  const timers = new Set<NodeJS.Timeout>();
  /** The exchange that was flooded last: a retry gets its answer at once. */
  let flooded: string | undefined;
  /** The first request that was to be answered with a replay, and what would have been right. */
  let first: { nonce: Buffer; answer: Buffer } | undefined;
  let isOpen = true;

  const headerOf = (request: RequestHeader, status: number): ResponseHeader => ({
    raida,
    status,
    executionTime: 0,
    coin: request.coin,
    nonce: random(RESPONSE_NONCE),
    echo: request.nonce.subarray(-2),
  });
  const refusal = (request: RequestHeader, status: number) =>
    makeResponse(headerOf(request, status), null, key);
  const answer = (request: RequestHeader, share: Buffer, underKey: Buffer = key) =>
    makeResponse(headerOf(request, STATUS.success), share, underKey);

  const send = (datagram: Buffer, { port, address }: RemoteInfo, from = socket) => {
    if (isOpen) from.send(datagram, port, address);
  };
  /** Sends what someone on the way could make, who sees the request and lacks the key. */
  const flood = async (request: RequestHeader, count: number, to: RemoteInfo) => {
    for (let sent = 0; sent < count && isOpen; sent++) {
      send(answer(request, random(shareBytes), random(KEY_BYTES)), to);
      if (sent % FLOOD_SLICE === 0) await new Promise((next) => setImmediate(next));
    }
  };

  /** Sends the share, or what the fault makes of it. */
  const give = (request: RequestHeader, query: ShareQuery, share: Buffer, to: RemoteInfo) => {
    const honest = () => {
      if (!isOpen) return;
      onShare(query);
      send(answer(request, share), to);
    };
    const fault = options.fault();
    switch (fault?.kind) {
      case undefined:
        return honest();
      case "lose":
        return;
      case "delay": {
        const timer = setTimeout(() => {
          timers.delete(timer);
          honest();
        }, fault.amount);
        timers.add(timer);
        return;
      }
      case "corrupt":
        return send(flipBit(answer(request, share), random(4).readUInt32BE()), to);
      case "forge":
        return send(answer(request, share, random(KEY_BYTES)), to);
      case "flood": {
        const exchange = query.clientSerial.toString("hex");
        if (flooded === exchange) return honest();
        flooded = exchange;
        void flood(request, fault.amount, to).then(honest);
        return;
      }
      case "refuse":
        return send(refusal(request, fault.amount), to);
      case "wrong-echo": {
        const echo = request.nonce.subarray(-2).map((byte) => byte ^ 0xff);
        const nonce = Buffer.concat([request.nonce.subarray(0, -2), echo]);
        return send(answer({ ...request, nonce }, share), to);
      }
      case "wrong-source":
        return send(answer(request, share), to, elsewhere);
      case "replay": {
        first ??= { nonce: request.nonce, answer: answer(request, share) };
        // A retry, which may be the same to the byte, must not get what would be right.
        if (!first.nonce.equals(request.nonce)) send(first.answer, to);
        return;
      }
      case "short-share":
        return send(answer(request, share.subarray(0, fault.amount)), to);
      case "cut":
        return send(answer(request, share).subarray(0, -fault.amount), to);
    }
  };

  socket.on("message", (datagram, from) => {
    const request = parseRequest(datagram);
    if (request?.raida !== raida) return;
    const isKnown =
      request.coin.denomination === coin.denomination &&
      request.coin.serialNumber === coin.serialNumber;
    if (!isKnown) return send(refusal(request, UNKNOWN), from);
    const query = openRequest(datagram, key);
    if (!query) return send(refusal(request, STATUS.badMac), from);
    const secret = secretFor(query);
    if (!secret) return send(refusal(request, UNKNOWN), from);
    give(request, query, deriveShare(secret, query, shareBytes), from);
  });

  const port = await bindUdp(socket, host);
  try {
    await bindUdp(elsewhere, host);
  } catch (error) {
    await closeUdp(socket);
    throw error;
  }
  return {
    address: `${host}:${port}`,
    async close() {
      isOpen = false;
      for (const timer of timers) clearTimeout(timer);
      await Promise.all([closeUdp(socket), closeUdp(elsewhere)]);
    },
  };
}

/** The datagram with one bit of its body changed, which `at` picks. */
function flipBit(datagram: Buffer, at: number): Buffer {
  const bits = (datagram.length - HEADER_BYTES - END_BYTES) * 8;
  const bit = at % bits;
  const byte = HEADER_BYTES + Math.floor(bit / 8);
  datagram[byte] = (datagram[byte] ?? 0) ^ (1 << (bit % 8));
  return datagram;
}
