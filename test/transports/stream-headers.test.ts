import assert from "node:assert/strict";
import { test } from "node:test";
import { withServer } from "./server.js";

const WATCH = "/latchkey.session.v1.SessionService/WatchSessions";
/** A frame of `{ app: "shop" }`. */
const BINARY = Buffer.concat([Buffer.from([0, 0, 0, 0, 6, 10, 4]), Buffer.from("shop")]);
const JSON_FRAME = Buffer.concat([Buffer.from([0, 0, 0, 0, 14]), Buffer.from('{"app":"shop"}')]);

test("a stream over HTTP bids nginx not to hold it back", () =>
  withServer("memory", async ({ http }) => {
    for (const [type, body] of [
      ["application/connect+json", JSON_FRAME],
      ["application/connect+proto", BINARY],
      ["application/grpc-web+proto", BINARY],
    ] as const) {
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
