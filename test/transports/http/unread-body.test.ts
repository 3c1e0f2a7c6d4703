import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { createDiscards } from "../../../src/transports/http/requests/unread-body.js";
import { eventually } from "../../support/eventually.js";

test("so many bodies are thrown away at a time, and the others when it is their turn", async () => {
  const discard = createDiscards(2);
  const done: [path: string | undefined, isWhole: boolean][] = [];
  const begun: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    response.end();
    begun.push(request.url);
    discard(request, (isWhole) => void done.push([request.url, isWhole]));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  const post = async (path: string, sent: number) => {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => {}).resume();
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n`);
    socket.write("x".repeat(sent));
    await eventually(path, () => begun.includes(path));
    return socket;
  };
  try {
    const first = await post("/first", 1);
    const second = await post("/second", 1);
    await post("/third", 9);
    const fourth = await post("/fourth", 1);
    assert.deepEqual(done, []);
    first.write("x".repeat(8));
    // With room again, the third is read, and then the fourth has its turn.
    await eventually("two bodies", () => done.length === 2);
    second.destroy();
    fourth.write("x".repeat(8));
    await eventually("all bodies", () => done.length === 4);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
  assert.deepEqual(done.slice(0, 2), [
    ["/first", true],
    ["/third", true],
  ]);
  assert.deepEqual(
    new Map(done),
    new Map([...done.slice(0, 2), ["/second", false], ["/fourth", true]]),
  );
});
