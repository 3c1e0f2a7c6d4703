import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import { BatchGetSessionsResultSchema } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import {
  assertRefused,
  type Case,
  NOT_FOUND,
  plain,
  seconds,
  type Trial,
} from "../../support/transports/case.js";
import { SECOND } from "../../support/transports/server.js";

/** What a batch answered: session ids and reasons. */
async function batch({ client, app }: Trial, tokens: string[], peek = false): Promise<string[]> {
  const { results } = await client.batchGetSessions({ app, tokens, peek });
  return results.map(({ result }) => {
    if (result.case === "session") return result.value.sessionId;
    assert.equal(result.case, "error");
    assert.notEqual(result.value.message, "");
    return result.value.reason;
  });
}

const TOKEN = "T0ken".padEnd(64, "x");

export const batches: readonly Case[] = [
  {
    title: "a batch answers each token in order, with its session or its error",
    async holds(trial) {
      const a = await trial.add();
      const b = await trial.add({ userId: "bob" });
      const tokens = [b.token, TOKEN, a.token, "no token", b.token];
      assert.deepEqual(await batch(trial, tokens), [
        b.session.sessionId,
        "NOT_FOUND",
        a.session.sessionId,
        "INVALID",
        b.session.sessionId,
      ]);
    },
  },
  {
    title: "a batch counts each read and restarts the idle time",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token } = await trial.add({ idleTtl: seconds(60) });
      clock.advance(5 * SECOND);
      const { results } = await client.batchGetSessions({ app, tokens: [token, token] });
      const reads = results.map(({ result }) =>
        result.case === "session" ? plain(result.value).reads : 0,
      );
      assert.deepEqual(reads, [2, 3]);
      const { session } = await client.getSession({ app, token, peek: true });
      assert.equal(plain(session).expiresAt, clock.now() + 60 * SECOND);
    },
  },
  {
    title: "a batch that peeks changes nothing",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token, session } = await trial.add();
      clock.advance(5 * SECOND);
      await batch(trial, [token, token], true);
      const read = await client.getSession({ app, token, peek: true });
      assert.deepEqual(plain(read.session), plain(session));
    },
  },
  {
    title: "a stolen token in a batch ends its session and fails alone",
    async holds(trial) {
      const { client, app, clock } = trial;
      const { token: old } = await trial.add();
      const other = await trial.add();
      const { token } = await client.rotateToken({ app, token: old });
      await client.getSession({ app, token });
      clock.advance(30 * SECOND);
      const answers = await batch(trial, [old, other.token, token]);
      assert.deepEqual(answers, ["NOT_FOUND", other.session.sessionId, "NOT_FOUND"]);
      await assertRefused(client.getSession({ app, token }), NOT_FOUND);
    },
  },
  {
    title: "a batch that is full leaves the rest alone, and fits a client's message",
    async holds(trial) {
      const { client, app } = trial;
      const { token } = await trial.add({ data: { text: "x".repeat(50_000) } });
      const answers = await batch(trial, Array(100).fill(token));
      const full = answers.filter((answer) => answer === "LIMIT").length;
      assert.ok(full > 30 && full < 50, `${full}`);
      assert.equal(answers.lastIndexOf("LIMIT"), 99);
      assert.equal(answers.indexOf("LIMIT"), 100 - full);
      const { session } = await client.getSession({ app, token, peek: true });
      assert.equal(plain(session).reads, 101 - full);

      // Numbers take most in a message for what they take as JSON.
      const numbers = await trial.add({ data: { numbers: Array(25_000).fill(1) } });
      assert.ok((await batch(trial, Array(100).fill(numbers.token))).includes("LIMIT"));
      const named = await trial.add({ userId: "한".repeat(128), userAgent: "✓".repeat(512) });
      const { results } = await client.batchGetSessions({
        app,
        tokens: Array(1_000).fill(named.token),
      });
      const size = results.reduce(
        (sum, result) => sum + toBinary(BatchGetSessionsResultSchema, result).length,
        0,
      );
      assert.ok(size < 4 * 1024 * 1024, `${size}`);
    },
  },
];
