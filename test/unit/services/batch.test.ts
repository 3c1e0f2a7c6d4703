import assert from "node:assert/strict";
import { test } from "node:test";
import { LatchkeyError, noSession } from "../../../src/domain/error.js";
import type { Session } from "../../../src/domain/sessions/session.js";
import { type BatchResult, readBatch } from "../../../src/services/sessions/batch.js";
import { createMint, hasCode } from "../../support/stores/fixture.js";

/** Reads a batch of tokens that are their numbers, and notes which of them each turn used. */
async function readNumbers(
  count: number,
  read: (token: string) => Session | Promise<Session>,
): Promise<{ results: BatchResult[]; turns: number[] }> {
  const turns: number[] = [];
  const results = await readBatch(
    { app: "shop", peek: true, tokens: Array.from({ length: count }, (_, n) => `${n}`) },
    {
      read: (_, token) => read(token),
      use(result) {
        turns.push((turns.pop() ?? 0) + 1);
        return result;
      },
      async takeTurn(work) {
        turns.push(0);
        return work();
      },
    },
  );
  return { results, turns };
}

const mint = createMint();
const sessionOf = (token: string, text = "") => mint({ id: token, data: { text } }).session;
const idOf = (result: BatchResult) => (result instanceof LatchkeyError ? result.code : result.id);

test("a batch is read in turns of 50 tokens, in order", async () => {
  const { results, turns } = await readNumbers(120, (token) => sessionOf(token));
  assert.deepEqual(
    results.map(idOf),
    Array.from({ length: 120 }, (_, n) => `${n}`),
  );
  assert.deepEqual(turns, [50, 50, 20]);
});

test("a turn of a batch ends with a large session", async () => {
  const large = "x".repeat(40_000);
  const { turns } = await readNumbers(60, (token) => sessionOf(token, token === "3" ? large : ""));
  assert.deepEqual(turns, [4, 50, 6]);
});

test("a batch waits for a read outside its turn, and goes on with it", async () => {
  let isInTurn = false;
  const used: string[] = [];
  let answer = (_: Session) => {};
  const reading = readBatch(
    { app: "shop", peek: true, tokens: ["0", "1", "2"] },
    {
      read: (_, token) =>
        token === "1"
          ? new Promise<Session>((resolve) => {
              answer = resolve;
            })
          : sessionOf(token),
      use(result) {
        assert.ok(isInTurn);
        used.push(idOf(result));
      },
      async takeTurn(work) {
        isInTurn = true;
        const answered = work();
        isInTurn = false;
        return answered;
      },
    },
  );
  await new Promise(setImmediate);
  assert.deepEqual(used, ["0"]);
  answer(sessionOf("1"));
  await reading;
  assert.deepEqual(used, ["0", "1", "2"]);
});

test("a token that fails, at once or later, fails alone; what is not of one token fails the batch", async () => {
  const { results } = await readNumbers(3, (token) => {
    if (token === "0") throw noSession();
    return token === "1" ? Promise.reject(noSession()) : sessionOf(token);
  });
  assert.deepEqual(results.map(idOf), ["not_found", "not_found", "2"]);
  const failing = readNumbers(3, (token) =>
    token === "1" ? Promise.reject(new LatchkeyError("unavailable", "no disk")) : sessionOf(token),
  );
  await assert.rejects(failing, hasCode("unavailable"));
});
