import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { peakOf, skipMemory } from "../../support/memory.js";
import { makeFolder, type Server, startServer } from "../../support/process/server.js";
import { beginMessage, openHalfCalls } from "../../support/transports/half-call.js";

const MIB = 2 ** 20;
/** Messages that each attack begins, each of a MiB. */
const MESSAGES = 1_024;
/**
 * By how much (MiB) the server may grow, a quarter of what is sent. Nothing of it is kept, but the
 * collector lets buffers come together before it looks for those that nobody holds.
 */
const MOST = 256;

/** What a stranger does; resolves when all of it is sent and refused. */
type Attack = (server: Server) => Promise<void>;

/** Settles with the first answer to `head` and `body`, after which the connection stays open. */
function begin(address: string, head: string, body: Buffer, sockets: Socket[]): Promise<string> {
  const [host = "", port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port) }, () => {
      socket.write(head);
      socket.write(body);
    });
    sockets.push(socket);
    socket.on("error", reject).once("data", (bytes) => resolve(bytes.toString("latin1")));
  });
}

/** Bodies of 1 MB of which the last byte never comes, on connections of their own. */
const httpBodies =
  (path: string, type: string): Attack =>
  async ({ http }) => {
    const body = Buffer.alloc(MIB - 1, " ");
    const head = [
      `POST ${path} HTTP/1.1`,
      "host: localhost",
      `content-type: ${type}`,
      `content-length: ${MIB}`,
      "\r\n",
    ].join("\r\n");
    const sockets: Socket[] = [];
    try {
      const begun = Array.from({ length: MESSAGES }, () => begin(http, head, body, sockets));
      for (const answer of await Promise.all(begun)) {
        assert.match(answer, /^HTTP\/1\.1 401 |\r\ngrpc-status: 16\r\n/);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  };

/** Messages by gRPC of 1 MiB of which the last byte never comes, on two connections. */
const grpcMessages =
  (path: string): Attack =>
  async ({ grpc }) => {
    const message = beginMessage(MIB, MIB - 1);
    const connections = [openHalfCalls(grpc), openHalfCalls(grpc)];
    try {
      for (let round = 0; round < MESSAGES; round += 64) {
        const answers = connections.flatMap((calls) =>
          Array.from({ length: 32 }, () => calls.begin(path, message).answer),
        );
        for (const { code } of await Promise.all(answers)) {
          assert.ok(code === status.UNAUTHENTICATED || code === status.RESOURCE_EXHAUSTED);
        }
      }
    } finally {
      for (const calls of connections) calls.close();
    }
  };

const RPC = "/latchkey.session.v1.SessionService/UpdateSession";

/** By what a stranger attacks, and how. */
const ATTACKS: Readonly<Record<string, Attack>> = {
  "bodies that never end, of the RKE endpoints": httpBodies("/api/rke/encrypt", "application/json"),
  "bodies that never end, by Connect": httpBodies(RPC, "application/json"),
  "bodies that never end, by gRPC-Web": httpBodies(RPC, "application/grpc-web+proto"),
  "bodies that never end, to no path": httpBodies("/nowhere", "application/json"),
  "messages that never end, by gRPC": grpcMessages(RPC),
  "messages that never end, to a stream": grpcMessages("/latchkey.rke.v1.RkeService/EncryptStream"),
  "messages that never end, to what is public": grpcMessages("/grpc.health.v1.Health/Watch"),
};

for (const [name, attack] of Object.entries(ATTACKS)) {
  test(`a stranger costs at most ${MOST} MiB by ${name}`, { skip: skipMemory }, async (t) => {
    const folder = await makeFolder(t);
    const server = await startServer(t, {
      LATCHKEY_AUTH: "required",
      LATCHKEY_STORE: `sqlite:${join(folder, "latchkey.db")}`,
    });
    const before = peakOf(server);
    await attack(server);
    const growth = peakOf(server) - before;
    assert.ok(growth < MOST, `it grew by ${growth.toFixed()} MiB`);
  });
}
