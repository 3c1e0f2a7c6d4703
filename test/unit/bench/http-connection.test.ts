import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { type Answer, openHttpConnection } from "../../../bench/load/http-connection.js";

/** The answers to calls made one after the other, and what the connection ended by, of a server
 * that sends the parts to each call. */
async function talk(calls: readonly (readonly string[])[]) {
  const sockets: Socket[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    let call = 0;
    socket.on("error", () => {});
    socket.on("data", async () => {
      for (const part of calls[call++] ?? []) {
        socket.write(part);
        // So that each part is read by itself.
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("not on a TCP port");

  const answers: Answer[] = [];
  let sent = 0;
  const reason = await new Promise<string>((resolve) => {
    const connection = openHttpConnection({
      host: "127.0.0.1",
      port: address.port,
      onFree() {
        if (sent === calls.length) connection.close("done");
        else connection.send(`GET /${sent++} HTTP/1.1\r\n\r\n`);
      },
      onAnswer: (answer) => answers.push(answer),
      onClosed: resolve,
    });
  });
  for (const socket of sockets) socket.destroy();
  server.close();
  return { answers, reason };
}

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

test("answers are read however they are cut", async () => {
  const { answers, reason } = await talk([[OK], [...OK], [OK.slice(0, 40), OK.slice(40)]]);
  const found = { status: 200, bodyBytes: 5, hasRetryAfter: false };
  assert.deepEqual(answers, [found, found, found]);
  assert.equal(reason, "done");
});

test("a refusal tells whether it has retry-after", async () => {
  const refusal = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n";
  const { answers } = await talk([[`${refusal}\r\n`], [`${refusal}Retry-After: 1\r\n\r\n`]]);
  assert.deepEqual(
    answers.map(({ status, hasRetryAfter }) => [status, hasRetryAfter]),
    [
      [503, false],
      [503, true],
    ],
  );
});

test("a connection that the server will close is not used again", async () => {
  const last = OK.replace("\r\n", "\r\nConnection: close\r\n");
  const { answers, reason } = await talk([[last], [OK]]);
  assert.equal(answers.length, 1);
  assert.equal(reason, "the server's wish");
});

test("what is no answer to the call closes the connection", async () => {
  const unstated = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
  assert.match((await talk([[unstated]])).reason, /no stated length/);
  assert.equal((await talk([[OK + OK]])).reason, "more than one answer to a call");
});
