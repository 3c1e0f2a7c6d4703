import { createHash, randomBytes } from "node:crypto";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { deriveShare } from "../../src/rke/derivation.js";
import type { Discovered } from "../../src/rke/discovery.js";
import {
  makeResponse,
  openRequest,
  parseRequest,
  RAIDAS,
  RESPONSE_NONCE,
  type ResponseHeader,
  type ShareQuery,
  STATUS,
} from "../../src/rke/packet.js";
import { hex, VECTORS } from "./vectors.js";

/** What reached a server, and what it would answer. */
export interface Asked {
  readonly raida: number;
  readonly socket: Socket;
  readonly source: RemoteInfo;
  readonly query: ShareQuery;
  /** The n-th datagram that this server got, from 1. */
  readonly count: number;
  /** An answer; `changes` are made to the header of the right one. */
  answer(changes?: Partial<ResponseHeader>, share?: Buffer | null): Buffer;
  send(datagram: Buffer): void;
}

/** Answers as a RAIDA server should. */
export function honest(asked: Asked): void {
  asked.send(asked.answer());
}

/** The share of the known answers' server for a query. */
export function shareOf(raida: number, query: ShareQuery, length = 32): Buffer {
  return deriveShare(hex(VECTORS.raida_secrets[raida]), query, length);
}

export function raidaKey(raida: number): Buffer {
  return createHash("sha256").update(hex(VECTORS.coin.ans[raida])).digest();
}

/**
 * 25 RAIDA servers on loopback with the secrets and the coin of the known answers, until the test
 * ends. `behave` says what each does with a request. Answers what discovery would say about them.
 */
export async function startRaidas(
  t: TestContext,
  behave: (asked: Asked) => void,
  minRaidasRequired = 13,
): Promise<Discovered> {
  const sockets = Array.from({ length: RAIDAS }, () => createSocket("udp4"));
  let isClosed = false;
  t.after(() => {
    isClosed = true;
    for (const socket of sockets) socket.close();
  });
  for (const [raida, socket] of sockets.entries()) {
    let count = 0;
    socket.on("message", (datagram, source) => {
      count += 1;
      const header = parseRequest(datagram);
      const query = openRequest(datagram, raidaKey(raida));
      if (!header || !query) throw new Error("a request that is none");
      const right: ResponseHeader = {
        raida,
        status: STATUS.success,
        executionTime: 0,
        coin: header.coin,
        nonce: randomBytes(RESPONSE_NONCE),
        echo: header.nonce.subarray(22),
      };
      behave({
        raida,
        socket,
        source,
        query,
        count,
        answer: (changes = {}, share = shareOf(raida, query)) =>
          makeResponse({ ...right, ...changes }, share, raidaKey(raida)),
        send(answer) {
          if (!isClosed) socket.send(answer, source.port, source.address, () => {});
        },
      });
    });
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  const keySet = { keyId: VECTORS.key_set, csId: VECTORS.cs_id, serverCount: RAIDAS };
  return {
    contentServer: {
      domain: "content.example.com",
      targetHost: "cs.example.com",
      targetPort: 50_000,
      minRaidasRequired,
      keySets: [keySet],
    },
    keySet,
    servers: sockets.map((socket, raida) => ({
      raida,
      position: raida,
      address: "127.0.0.1",
      port: socket.address().port,
      keyIds: [keySet.keyId],
    })),
  };
}

/** A folder of wallets with one wallet, which holds the known answers' coin, until the test ends. */
export function createWallets(t: TestContext): { folder: string; wallet: string } {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-r1-wallets-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const wallet = join(folder, "Default");
  mkdirSync(join(wallet, "Bank"), { recursive: true });
  writeFileSync(join(wallet, "Bank", "one.bin"), hex(VECTORS.coin_file));
  return { folder, wallet };
}
