import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { withListeners } from "../../support/transports/listeners.js";
import { withServer } from "../../support/transports/server.js";

const WATCH = "/latchkey.session.v1.SessionService/WatchSessions";
/** A frame of `{ app: "shop" }`. */
const BINARY = Buffer.concat([Buffer.from([0, 0, 0, 0, 6, 10, 4]), Buffer.from("shop")]);
const JSON_FRAME = Buffer.concat([Buffer.from([0, 0, 0, 0, 14]), Buffer.from('{"app":"shop"}')]);

const TYPES = [
  ["application/connect+json", JSON_FRAME],
  ["application/connect+proto", BINARY],
  ["application/grpc-web+proto", BINARY],
] as const;

test("a stream over HTTP bids nginx not to hold it back", () =>
  withServer("memory", async ({ http }) => {
    for (const [type, body] of TYPES) {
      const abort = new AbortController();
      const { signal } = abort;
      const headers = { "content-type": type };
      const answer = await fetch(`http://${http}${WATCH}`, {
        method: "POST",
        headers,
        body,
        signal,
      });
      assert.equal(answer.status, 200, type);
      assert.equal(answer.headers.get("x-accel-buffering"), "no", type);
      abort.abort();
    }
  }));

/** A watch of which nothing is ever told. */
const silence = (_: unknown, { signal }: { readonly signal: AbortSignal }) => ({
  [Symbol.asyncIterator]: () => ({
    async next() {
      if (!signal.aborted) await once(signal, "abort");
      return { done: true as const, value: undefined };
    },
  }),
});

test("a stream over HTTP has its headers before its first message", () =>
  withListeners({ rpcs: (usual) => ({ ...usual, watchSessions: silence }) }, async ({ http }) => {
    for (const [type, body] of TYPES) {
      const [host = "", port] = http.split(":");
      const socket = connect(Number(port), host);
      const head = `POST ${WATCH} HTTP/1.1\r\nhost: ${http}\r\ncontent-type: ${type}\r\n`;
      socket.write(`${head}content-length: ${body.length}\r\n\r\n`);
      socket.write(body);
      const [received] = (await once(socket, "data")) as [Buffer];
      const text = received.toString("latin1");
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n/, type);
      assert.match(text, new RegExp(`^content-type: ${type.replace("+", "\\+")}\r$`, "im"));
      assert.match(text, /\r\n\r\n$/, `${type}: nothing follows the headers`);
      socket.destroy();
    }
  }));
