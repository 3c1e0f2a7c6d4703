import { createHash, randomBytes } from "node:crypto";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import type { TestContext } from "node:test";
import type { DerivedKey } from "../../src/domain/rke/key-exchange.js";
import { type Devnet, type DevnetOptions, startDevnet } from "../../src/rke/devnet/devnet.js";
import {
  makeRequest,
  type ParsedResponse,
  parseResponse,
  REQUEST_NONCE,
  type RequestHeader,
  type ShareQuery,
} from "../../src/rke/packet.js";
import type { Coin } from "../../src/rke/wallet.js";

export const COIN: Coin = {
  denomination: -3,
  serialNumber: 0xfeed_beef,
  ans: Buffer.from(Array.from({ length: 25 * 16 }, (_, at) => at % 251)),
};

/** A devnet that goes with the test; its coin is `COIN` unless given. */
export async function openDevnet(
  t: TestContext,
  options: Partial<DevnetOptions> = {},
): Promise<Devnet> {
  const defaults = { domain: "devnet.test", folder: null, random: randomBytes, coin: COIN };
  const devnet = await startDevnet({ ...defaults, ...options });
  t.after(() => devnet.close());
  return devnet;
}

export function newQuery(changes: Partial<ShareQuery> = {}): ShareQuery {
  const fixed = { csId: "DEVNET", keyId: 1, time: 1_764_496_800 };
  return { ...fixed, clientSerial: randomBytes(5), ...changes };
}

/** What a Content Server is told about a query that these RAIDA servers answered. */
export function keyOf({ clientSerial, ...query }: ShareQuery, raidas: number): DerivedKey {
  return { ...query, raidas, clientSerial: clientSerial.toString("hex") };
}

function coinKey(coin: Coin, raida: number): Buffer {
  return createHash("sha256")
    .update(coin.ans.subarray(16 * raida, 16 * raida + 16))
    .digest();
}

export interface Datagram {
  readonly bytes: Buffer;
  /** `host:port` that it came from. */
  readonly from: string;
  /** What a client makes of it, its source aside. */
  readonly parsed: ParsedResponse;
}

/** A client's socket to one RAIDA server, which hands out whatever comes. */
export async function openClient(t: TestContext, { raidas }: Devnet, raida: number, coin = COIN) {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => new Promise<void>((closed) => socket.close(() => closed())));
  const [host = "", port = ""] = raidas[raida]?.split(":") ?? [];
  const key = coinKey(coin, raida);
  const received = queue(socket);
  let last: RequestHeader | undefined;
  return {
    /** Asks for a share; what comes from then on is read as an answer to this request. */
    ask(query: ShareQuery, changes: { key?: Buffer; header?: Partial<RequestHeader> } = {}) {
      last = { raida, coin, nonce: randomBytes(REQUEST_NONCE), ...changes.header };
      const request = makeRequest(last, query, changes.key ?? key);
      socket.send(request, Number(port), host);
      return request;
    },
    /** Sends bytes as they are. */
    send(bytes: Buffer) {
      socket.send(bytes, Number(port), host);
    },
    /** The next datagram. */
    async next(): Promise<Datagram> {
      const { bytes, from } = await received();
      if (!last) throw new Error("nothing was asked");
      return {
        bytes,
        from: `${from.address}:${from.port}`,
        parsed: parseResponse(bytes, last, key),
      };
    },
  };
}

/** The datagrams of a socket, one by one; also those that came before they were asked for. */
function queue(socket: Socket) {
  const waiting: { bytes: Buffer; from: RemoteInfo }[] = [];
  socket.on("message", (bytes, from) => waiting.push({ bytes, from }));
  return async () => {
    if (waiting.length === 0) await once(socket, "message");
    const next = waiting.shift();
    if (!next) throw new Error("two readers of one socket");
    return next;
  };
}

/** The share in a datagram, which must have one. */
export function shareOf({ parsed }: Datagram): Buffer {
  if ("share" in parsed) return parsed.share;
  throw new Error(`no share: ${parsed.rejection}`);
}

export function rejectionOf({ parsed }: Datagram): string {
  return "share" in parsed ? "none" : parsed.rejection;
}
