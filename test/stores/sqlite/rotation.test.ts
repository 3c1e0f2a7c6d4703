import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { idempotencyKeyOf, KEPT } from "../../../src/domain/sessions/idempotency-key.js";
import { OLD_TOKENS, type Rotation } from "../../../src/domain/sessions/rotation.js";
import type { Session } from "../../../src/domain/sessions/session.js";
import { hashToken } from "../../../src/domain/token.js";
import { type DatabaseTrial, withDatabase } from "../../support/stores/database.js";
import { createFaultyDisk, turns } from "../../support/stores/faulty-disk.js";
import {
  createTrial,
  hasCode,
  listAll,
  NOW,
  SECOND,
  setKey,
} from "../../support/stores/fixture.js";

const GRACE = 30 * SECOND;

/** A rotation to the token of this name. */
const to = (name: string): Rotation => ({
  to: hashToken(name),
  graceEndsAt: NOW + GRACE,
  salt: "",
  change: (session: Session) => ({ ...session, version: session.version + 1 }),
});

const spares = ({ inspect }: DatabaseTrial) =>
  inspect((db) => db.prepare("SELECT count(spare_token) FROM sessions").pluck().get());

const count = ({ inspect }: DatabaseTrial, table: string) =>
  inspect((db) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get());

/** Creates a session that is on disk, rotated to the token `b`; returns its first token's hash. */
async function mintRotated(trial: DatabaseTrial, disk: ReturnType<typeof createFaultyDisk>) {
  const { session, tokenHash } = createTrial(trial).mint();
  const writes = [
    trial.store.create(session, tokenHash),
    trial.store.rotate("shop", tokenHash, NOW, to("b")),
  ];
  await disk.drain();
  await Promise.all(writes);
  return tokenHash;
}

describe("rotation and repetition over SQLite", () => {
  test("a session is listed once, at its latest, while its rotations are on their way", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async (trial) => {
        const { store } = trial;
        const { mint } = createTrial(trial);
        const { session, tokenHash } = mint();
        const created = store.create(session, tokenHash);
        await disk.drain();
        await created;
        const writes = [
          store.rotate("shop", tokenHash, NOW, to("b")),
          store.rotate("shop", hashToken("b"), NOW, to("c")),
          store.update("shop", hashToken("c"), NOW, setKey("a", 1)),
        ];
        await turns(2);
        const seen = await listAll(store, "shop", NOW);
        assert.deepEqual(
          seen.map(({ id, version, data }) => ({ id, version, a: data["a"] })),
          [{ id: session.id, version: 4, a: 1 }],
        );
        assert.deepEqual(await store.peek("shop", tokenHash, NOW), seen[0]);
        await disk.calm();
        await Promise.all(writes);
        assert.deepEqual(await listAll(store, "shop", NOW), seen);
      },
      { openWriter: disk.openWriter },
    );
  });

  test("touches answered during a rotation that fails stay, and the old token is the token", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async (trial) => {
        const { store } = trial;
        const { session, tokenHash } = createTrial(trial).mint();
        const created = store.create(session, tokenHash);
        await disk.drain();
        await created;
        const rotation = store.rotate("shop", tokenHash, NOW, to("b"));
        const refused = assert.rejects(rotation, hasCode("unavailable"));
        await turns(2);
        assert.ok(await store.touch("shop", tokenHash, NOW + 1));
        await disk.drain(["SQLITE_FULL"]);
        await refused;
        const after = await store.peek("shop", tokenHash, NOW + 2 * GRACE);
        assert.deepEqual(after, { ...session, reads: 2, lastAccessedAt: NOW + 1 });
        assert.equal(await store.peek("shop", hashToken("b"), NOW), null);
        await disk.calm();
      },
      { openWriter: disk.openWriter },
    );
  });

  test("the end by theft is on disk before the use of the old token is answered", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async (trial) => {
        const { store } = trial;
        const tokenHash = await mintRotated(trial, disk);
        const use = Promise.resolve(store.peek("shop", hashToken("b"), NOW));
        await disk.drain();
        await use;
        let isAnswered = false;
        const read = Promise.resolve(store.peek("shop", tokenHash, NOW + GRACE)).finally(() => {
          isAnswered = true;
        });
        const refused = assert.rejects(read, hasCode("not_found"));
        await turns(4);
        assert.equal(isAnswered, false);
        assert.equal(count(trial, "sessions"), 1);
        await disk.perform(1, null);
        assert.equal(count(trial, "sessions"), 0);
        disk.answer();
        await refused;
        await disk.calm();
      },
      { openWriter: disk.openWriter },
    );
  });

  test("old tokens outlast a restart, and end with their session", () =>
    withDatabase(async (trial) => {
      const { add } = createTrial(trial);
      const [stolen, deleted] = [await add(), await add()];
      await trial.store.rotate("shop", stolen.tokenHash, NOW, to("b"));
      await trial.store.rotate("shop", deleted.tokenHash, NOW, to("c"));
      await trial.store.delete("shop", { tokenHash: hashToken("c") }, NOW);
      await trial.store.touch("shop", hashToken("b"), NOW);
      assert.equal(count(trial, "rotated_tokens"), 1);
      const store = await trial.reopen();
      assert.equal((await store.peek("shop", stolen.tokenHash, NOW))?.version, 2);
      const late = async () => store.touch("shop", stolen.tokenHash, NOW + GRACE);
      await assert.rejects(late, hasCode("not_found"));
      assert.equal(count(trial, "rotated_tokens"), 0);
      assert.equal(store.stats().sessions, 0);
    }));

  test("the first use of a new token is on disk before it is answered", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async (trial) => {
        const { store } = trial;
        await mintRotated(trial, disk);
        let answers = 0;
        const uses = [
          store.peek("shop", hashToken("b"), NOW),
          store.touch("shop", hashToken("b"), NOW),
        ];
        const all = uses.map((use) => Promise.resolve(use).finally(() => answers++));
        await turns(4);
        assert.equal(answers, 0);
        assert.equal(spares(trial), 1);
        await disk.perform(1, null);
        assert.equal(spares(trial), 0);
        disk.answer();
        await Promise.all(all);
        assert.equal((await store.peek("shop", hashToken("b"), NOW))?.reads, 2);
        await disk.calm();
      },
      { openWriter: disk.openWriter },
    );
  });

  test("a first use that the disk refuses is none: the old token is good, and the new one", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async (trial) => {
        const { store } = trial;
        const tokenHash = await mintRotated(trial, disk);
        const use = Promise.resolve(store.touch("shop", hashToken("b"), NOW));
        const refused = assert.rejects(use, hasCode("unavailable"));
        await turns(2);
        await disk.drain(["SQLITE_FULL"]);
        await refused;
        assert.equal((await store.peek("shop", tokenHash, NOW + GRACE))?.reads, 1);
        const again = Promise.resolve(store.touch("shop", hashToken("b"), NOW));
        await disk.drain();
        assert.equal((await again)?.after.reads, 2);
        await disk.calm();
      },
      { openWriter: disk.openWriter },
    );
  });

  test("whether a new token was used outlasts a restart", () =>
    withDatabase(async (trial) => {
      const { add } = createTrial(trial);
      const [lost, used] = [await add(), await add()];
      await trial.store.rotate("shop", lost.tokenHash, NOW, to("b"));
      await trial.store.rotate("shop", used.tokenHash, NOW, to("c"));
      await trial.store.peek("shop", hashToken("c"), NOW);
      const store = await trial.reopen();
      assert.equal((await store.peek("shop", lost.tokenHash, NOW + GRACE))?.version, 2);
      await assert.rejects(
        async () => store.peek("shop", used.tokenHash, NOW + GRACE),
        hasCode("not_found"),
      );
      await store.rotate("shop", lost.tokenHash, NOW + GRACE, to("d"));
      const reopened = await trial.reopen();
      assert.equal((await reopened.peek("shop", lost.tokenHash, NOW + GRACE))?.version, 3);
      await assert.rejects(
        async () => reopened.peek("shop", hashToken("b"), NOW + GRACE),
        hasCode("not_found"),
      );
      assert.equal(await reopened.peek("shop", hashToken("d"), NOW + GRACE), null);
    }));

  test("a token that is rotated again and again is among the newest old ones", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { session, tokenHash } = await createTrial(trial).add();
      const lost = { ...to(""), graceEndsAt: NOW };
      for (let turn = 0; turn <= OLD_TOKENS; turn++) {
        await store.rotate("shop", tokenHash, NOW, { ...lost, to: hashToken(`lost ${turn}`) });
      }
      assert.equal(count(trial, "rotated_tokens"), OLD_TOKENS);
      assert.equal((await store.peek("shop", tokenHash, NOW))?.id, session.id);
      assert.equal(await store.peek("shop", hashToken("lost 0"), NOW), null);
      await assert.rejects(async () => store.peek("shop", hashToken("lost 1"), NOW));
      assert.equal(await store.peek("shop", tokenHash, NOW), null);
    }));

  test("of a session's old tokens the newest are known, and no others", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { session, tokenHash } = await createTrial(trial).add();
      let token = tokenHash;
      for (let turn = 0; turn <= OLD_TOKENS; turn++) {
        await store.rotate("shop", token, NOW, to(`token ${turn} of many`));
        token = hashToken(`token ${turn} of many`);
      }
      assert.equal(count(trial, "rotated_tokens"), OLD_TOKENS);
      assert.equal(await store.peek("shop", tokenHash, NOW + GRACE), null);
      assert.equal((await store.peek("shop", token, NOW + GRACE))?.id, session.id);
      const oldest = async () => store.peek("shop", hashToken("token 0 of many"), NOW + GRACE);
      await assert.rejects(oldest, hasCode("not_found"));
      assert.equal(await store.peek("shop", token, NOW + GRACE), null);
    }));

  test("a call that comes again meanwhile is answered when the first is on disk", async () => {
    const disk = createFaultyDisk();
    await withDatabase(
      async (trial) => {
        const { store } = trial;
        const { mint } = createTrial(trial);
        const requestId = "a-request-id-of-some-length";
        const idempotencyKey = idempotencyKeyOf(
          "CreateSession",
          { app: "shop", requestId, now: NOW },
          {},
        );
        const answers: unknown[] = [];
        const create = (salt: string) => {
          const { session, tokenHash } = mint();
          const created = store.create(session, tokenHash, idempotencyKey, salt);
          return created.then((answer) => answers.push(answer));
        };
        const calls = [create("a"), create("b")];
        await turns(2);
        calls.push(create("c"));
        await turns(4);
        assert.deepEqual(answers, []);
        await disk.drain();
        await Promise.all(calls);
        assert.equal(answers.length, 3);
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        assert.equal(count(trial, "sessions"), 1);
        await disk.calm();
      },
      { openWriter: disk.openWriter },
    );
  });

  test("answers kept too long are swept, a bounded number at a time", () =>
    withDatabase(async (trial) => {
      const { store } = trial;
      const { mint } = createTrial(trial);
      for (let request = 0; request < 5; request++) {
        const { session, tokenHash } = mint();
        const requestId = `request-number-${request}`;
        const idempotencyKey = idempotencyKeyOf(
          "CreateSession",
          { app: "shop", requestId, now: NOW + request },
          {},
        );
        await store.create(session, tokenHash, idempotencyKey);
      }
      assert.equal(await store.sweep(NOW + 60 * SECOND, 2), false);
      assert.equal(count(trial, "requests"), 5);
      await store.deleteApp("shop", NOW);
      assert.equal(await store.sweep(NOW + KEPT + 2, 2), true);
      assert.equal(count(trial, "requests"), 3);
      assert.equal(await store.sweep(NOW + KEPT + 2, 2), false);
      assert.equal(count(trial, "requests"), 2);
    }));
});
