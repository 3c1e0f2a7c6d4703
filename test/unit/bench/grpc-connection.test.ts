import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Http2Server } from "node:http2";
import { test } from "node:test";
import { openGrpcConnection } from "../../../bench/load/grpc-connection.js";
import type { Answer } from "../../../bench/load/http-connection.js";

/** The answers to calls made one after the other of a server that answers these gRPC statuses,
 * null by none at all, and what the connection ended by. */
async function talk(statuses: readonly (number | null)[]) {
  const server: Http2Server = createServer();
  let call = 0;
  server.on("stream", (stream) => {
    const status = statuses[call++];
    stream.on("error", () => {});
    if (status === 0) {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(9));
    } else {
      stream.respond(status === null ? { ":status": 200 } : { "grpc-status": `${status}` });
      stream.end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("not on a TCP port");

  const answers: Answer[] = [];
  let sent = 0;
  const reason = await new Promise<string>((resolve) => {
    const connection = openGrpcConnection({
      host: "127.0.0.1",
      port: address.port,
      onFree() {
        if (sent++ === statuses.length) connection.close("done");
        else connection.send({ path: "/test.Test/Get", body: "AAAAAAA=" }, {});
      },
      onAnswer: (answer) => answers.push(answer),
      onClosed: resolve,
    });
  });
  server.close();
  return { answers, reason };
}

test("gRPC's statuses are what those of HTTP are to a trial", async () => {
  const { answers, reason } = await talk([0, 8, 14, 5, 0]);
  assert.deepEqual(
    answers.map(({ status, bodyBytes }) => [status, bodyBytes]),
    [
      [200, 9],
      [429, 0],
      [503, 0],
      [500, 0],
      [200, 9],
    ],
  );
  assert.equal(reason, "done");
});

test("a call that ends without a status ends the connection", async () => {
  const { answers, reason } = await talk([0, null]);
  assert.equal(answers.length, 1);
  assert.equal(reason, "a stream without a status");
});
