import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { command, frame, request } from "../../support/transports/command-client.js";
import { withCommandListener } from "../../support/transports/command-listener.js";

/** Streams sent: TEST_RUNS, or a few hundred. */
const RUNS = Number(process.env["TEST_RUNS"] ?? 400);
/** Connections that are open together. */
const BATCH = 20;

const text = fc.oneof(
  fc.constantFrom("auth", "PING", "session", "STATUS", "", "__proto__", "admin", "secret"),
  fc.string({ unit: "binary", maxLength: 20 }),
);
const argument = fc.oneof(
  { weight: 4, arbitrary: text },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
);
const right = fc
  .tuple(text, fc.array(argument, { maxLength: 4 }))
  .map(([name, args]) => command(name, ...args));
const damaged = fc
  .tuple(right, fc.nat(), fc.nat(255))
  .map(([body, at, byte]) =>
    Buffer.from(body).fill(byte, at % body.length, (at % body.length) + 1),
  );
const anything = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const piece = fc.oneof(
  { weight: 5, arbitrary: right.map((body) => frame(body)) },
  { weight: 2, arbitrary: damaged.map((body) => frame(body)) },
  { weight: 1, arbitrary: anything.map((body) => frame(body)) },
  { weight: 1, arbitrary: anything },
);
const streams = fc.record({
  login: fc.constantFrom("right", "wrong", "none"),
  pieces: fc.array(piece, { maxLength: 6 }),
});
type Stream = typeof streams extends fc.Arbitrary<infer T> ? T : never;

const LOGINS: Readonly<Record<string, Buffer>> = {
  right: request("auth", "admin", "secret"),
  wrong: request("auth", "admin", "wrong"),
  none: Buffer.alloc(0),
};

test("whatever is sent is answered as documented, and others are served", () =>
  withCommandListener({}, async ({ connect, logIn, log }) => {
    const good = await logIn();
    const send = async ({ login, pieces }: Stream) => {
      const client = await connect();
      const { localPort } = client.socket;
      client.socket.end(Buffer.concat([LOGINS[login] ?? Buffer.alloc(0), ...pieces]));
      const answers = await client.rest();
      for (const { clientId, topic, status, result } of answers) {
        assert.equal(clientId.split("-")[1], `127.0.0.1:${localPort}`);
        assert.equal(topic, "");
        assert.ok(status === "Ok" || status === "Error", status);
        assert.notEqual(result, "internal server error");
      }
      if (login === "right") assert.equal(answers[0]?.result, "Connected");
      client.close();
    };
    const batches = fc.array(streams, { minLength: BATCH, maxLength: BATCH });
    const property = fc.asyncProperty(batches, async (batch) => {
      await Promise.all(batch.map(send));
      assert.equal((await good.call("PING")).result, "PONG");
    });
    await fc.assert(property, { numRuns: Math.ceil(RUNS / BATCH), endOnFailure: true });
    assert.doesNotMatch(log.join(""), /"level":(50|60)/, "nothing broke inside");
  }));
