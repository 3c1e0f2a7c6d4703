import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import Fastify from "fastify";
import { createJsonAnswers } from "../../../src/transports/http/answers/json-answers.js";
import { createJsonStreams } from "../../../src/transports/http/answers/json-streams.js";
import { dial } from "../../support/transports/command-client.js";
import { openRest } from "../../support/transports/rest.js";

const PART = "x".repeat(65_536);
const KINDS = {
  // Of more than the sockets' buffers hold on both sides.
  "that is long": { parts: 1_024, first: "" },
  "that is sent as a whole": { parts: 15, first: "y" },
};

for (const [what, { parts, first }] of Object.entries(KINDS)) {
  test(`a client that reads nothing of an answer ${what} is cut, and its connection serves on if it reads`, async () => {
    const isDraining = () => false;
    const answers = createJsonAnswers({ isDraining, afterTurn: setImmediate });
    const { send } = createJsonStreams({ answers, isDraining, stall: 1_000 });
    const app = Fastify();
    const sent: Promise<void>[] = [];
    app.get("/list", (_, reply) => {
      const texts = async function* () {
        yield first;
        for (let part = 0; part < parts; part++) yield PART;
      };
      sent.push(send(reply, "ann", texts()));
    });
    app.get("/ping", () => "pong");
    const address = (await app.listen({ port: 0, host: "127.0.0.1" })).replace("http://", "");
    const rest = openRest(address);
    try {
      const { bytes } = await rest.call("GET", "/list");
      assert.equal(bytes.length, first.length + parts * PART.length);
      assert.equal((await rest.call("GET", "/ping")).text, "pong");
      const cut = once(app.server, "connection").then(([socket]) => once(socket, "close"));
      const client = await dial(address);
      client.pause();
      // Asked for often enough, an answer of any size fills the buffers.
      client.write("GET /list HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(64));
      await cut;
      await Promise.all(sent);
      client.destroy();
    } finally {
      rest.close();
      await app.close();
    }
  });
}
