import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openGrpc } from "../../support/process/grpc-wire.js";
import { makeFolder, startServer } from "../../support/process/server.js";
import { APP, done } from "../../support/process/wire.js";

const BURST = 5_000;
const CONNECTIONS = 50;
/** Milliseconds in which a server that nobody calls notices that it has time. */
const IDLE = 300;

/** Sends requests on open connections, all at once; answers how many had which status. */
async function sendAtOnce(sockets: readonly Socket[], requests: readonly string[]) {
  const perSocket = requests.length / sockets.length;
  const counts = new Map<string, number>();
  await Promise.all(
    sockets.map(
      (socket, index) =>
        new Promise<void>((resolve, reject) => {
          let left = perSocket;
          let tail = "";
          const read = (text: string) => {
            const all = tail + text;
            for (const [, status = ""] of all.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
              counts.set(status, (counts.get(status) ?? 0) + 1);
              left--;
            }
            // A status line that is cut is looked at again; a whole one is not.
            const cut = all.lastIndexOf("HTTP/1.1 ");
            tail = cut >= 0 && all.length - cut < 13 ? all.slice(cut) : all.slice(-8);
            if (left > 0) return;
            socket.off("data", read).off("error", reject);
            resolve();
          };
          socket.setEncoding("latin1").on("data", read).once("error", reject);
          socket.write(requests.slice(index * perSocket, (index + 1) * perSocket).join(""));
        }),
    ),
  );
  return Object.fromEntries(counts);
}

test("an idle server takes a burst of 5,000 calls of any kind, and refuses none", async (t) => {
  const server = await startServer(t, {
    LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}`,
    LATCHKEY_TURN_CALLS: "256",
  });
  const grpc = openGrpc(server.grpc);
  t.after(() => grpc.close());
  const [host = "", port] = server.http.split(":");
  const sockets = await Promise.all(
    Array.from(
      { length: CONNECTIONS },
      () =>
        new Promise<Socket>((resolve, reject) => {
          const socket: Socket = connect({ host, port: Number(port) }, () => resolve(socket));
          socket.once("error", reject);
        }),
    ),
  );
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const numbers = Array.from({ length: BURST }, (_, number) => number);
  const request = (line: string) => `${line} HTTP/1.1\r\nhost: localhost\r\n`;
  const body = "content-type: application/json\r\ncontent-length: 7\r\n\r\n";
  const { token } = done(await grpc.create("ann", {}));

  const creates = numbers.map(
    (n) => `${request(`PUT /${APP}/create/user${n}?ip=::1`)}${body}{"a":1}`,
  );
  assert.deepEqual(await sendAtOnce(sockets, creates), { 200: BURST });
  await pause(IDLE);
  const sets = numbers.map((n) => `${request(`POST /${APP}/set/${token}`)}${body}{"a":${n % 10}}`);
  assert.deepEqual(await sendAtOnce(sockets, sets), { 200: BURST });
  await pause(IDLE);
  const gets = numbers.map(() => `${request(`GET /${APP}/get/${token}`)}\r\n`);
  assert.deepEqual(await sendAtOnce(sockets, gets), { 200: BURST });

  await pause(IDLE);
  const created = await Promise.all(numbers.map((n) => grpc.create(`user ${n}`, { n })));
  for (const one of created) done(one);
  await pause(IDLE);
  for (const one of await Promise.all(numbers.map(() => grpc.read(token)))) done(one);
});
