import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { LatchkeyError } from "../../../src/domain/error.js";
import type { Session } from "../../../src/domain/sessions/session.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { openThreadWriter } from "../../../src/stores/sqlite/commit/client.js";
import { connect, openQuietly, withFolder } from "../../support/stores/database.js";
import { createTrial, MINUTE, type Minted, NOW, SECOND } from "../../support/stores/fixture.js";

const PAGE = 4096;

/** Fills a page with bytes that no page has. */
function damagePage(path: string, number: number): void {
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.alloc(PAGE, 0xee), 0, PAGE, (number - 1) * PAGE);
  } finally {
    closeSync(file);
  }
}

/** Damages the page of the table that has the session's row. */
function damageRow(path: string, { session }: Minted): void {
  const at = readFileSync(path).indexOf(`mark of ${session.id}`);
  assert.ok(at > 0, "the row is not in the file");
  damagePage(path, Math.floor(at / PAGE) + 1);
}

/** Data that leaves no room for another session on its page. */
const bulky = (index: number) => ({
  userId: `user${index}`,
  data: { mark: "", long: "x".repeat(3_000) },
});

interface Damaged {
  readonly store: SessionStore;
  readonly path: string;
  /** A session on a damaged page, and all others. */
  readonly victim: Minted;
  readonly others: readonly Minted[];
  readonly clock: { now: number };
  /** What was told. */
  readonly fatal: readonly unknown[];
  readonly damage: readonly unknown[];
  add(overrides?: Partial<Session>): Promise<Minted>;
}

/** Runs `body` over a store of 40 sessions, the page of one of which is damaged before its start. */
async function withDamage(
  damage: (path: string, victim: Minted) => void,
  body: (trial: Damaged) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = join(folder, "latchkey.db");
    const made = openQuietly(path);
    const { mint, add } = createTrial({ store: made });
    const minted = Array.from({ length: 40 }, (_, index) => mint(bulky(index)));
    for (const { session, tokenHash } of minted) {
      const data = { ...session.data, mark: `mark of ${session.id}` };
      await made.create({ ...session, data }, tokenHash);
    }
    await made.close();
    const victim = minted[20] ?? (await add());
    damage(path, victim);

    const clock = { now: 0 };
    const [fatal, met]: [unknown[], unknown[]] = [[], []];
    const store = openQuietly(path, {
      clock: () => clock.now,
      onFatal: (error) => fatal.push(error),
      onDamage: (error) => met.push(error),
    });
    const others = minted.filter((one) => one !== victim);
    const add2 = async (overrides: Partial<Session> = {}) => {
      const one = mint(overrides);
      await store.create(one.session, one.tokenHash);
      return one;
    };
    await body({ store, path, victim, others, clock, fatal, damage: met, add: add2 });
    assert.deepEqual(fatal, []);
    await store.close();
  });
}

const isInternal = (error: unknown) => {
  assert.ok(error instanceof LatchkeyError, String(error));
  assert.deepEqual([error.code, error.message], ["internal", "internal server error"]);
  return true;
};

/** Asserts that each of these can be read, and changed. */
async function assertServed(store: SessionStore, sessions: readonly Minted[], at = NOW) {
  for (const { session, tokenHash } of sessions) {
    assert.equal((await store.peek("shop", tokenHash, at))?.id, session.id);
  }
}

describe("a page of the database that is damaged", () => {
  test("fails each call that needs it, tells of each, and no others", () =>
    withDamage(damageRow, async ({ store, victim, others, damage, add }) => {
      const { tokenHash } = victim;
      const change = (session: Session) => ({ ...session, writes: session.writes + 1 });
      for (let round = 0; round < 3; round++) {
        await assert.rejects(async () => store.peek("shop", tokenHash, NOW), isInternal);
        await assert.rejects(async () => store.touch("shop", tokenHash, NOW), isInternal);
        await assert.rejects(store.update("shop", tokenHash, NOW, change), isInternal);
        await assert.rejects(store.delete("shop", { tokenHash }, NOW), isInternal);
      }
      assert.equal(damage.length, 12);
      await assertServed(store, others);
      const [first = victim, second = victim] = others;
      await store.update("shop", first.tokenHash, NOW, change);
      assert.equal(await store.delete("shop", { tokenHash: second.tokenHash }, NOW), true);
      await add();
      await store.ping();
      assert.equal(damage.length, 12);
    }));

  test("fails of many writes at once only those that need it", () =>
    withDamage(damageRow, async ({ store, victim, others, add }) => {
      const writes = others.map(({ tokenHash }) =>
        store.update("shop", tokenHash, NOW, (session) => ({ ...session, version: 2 })),
      );
      const lost = store.update("shop", victim.tokenHash, NOW, (session) => session);
      await assert.rejects(lost, isInternal);
      for (const write of writes) assert.equal((await write)?.after.version, 2);
      await add();
    }));

  test("does so in a store that writes in a thread, and after a restart again", () =>
    withDamage(damageRow, async ({ store, path, victim, others }) => {
      await store.close();
      for (let start = 0; start < 2; start++) {
        const fatal: unknown[] = [];
        const again = openQuietly(path, {
          openWriter: openThreadWriter,
          onFatal: (error) => fatal.push(error),
        });
        await assert.rejects(async () => again.peek("shop", victim.tokenHash, NOW), isInternal);
        await assertServed(again, others);
        await createTrial({ store: again })
          .add({
            id: `019c0000-0000-7000-8000-00000000000${start}`,
            userId: `start${start}`,
          })
          .catch((error) => assert.match(String(error), /taken/));
        assert.deepEqual(fatal, []);
        await again.close();
      }
    }));

  test("keeps no sweep from removing what is on other pages", () =>
    withDamage(damageRow, async ({ store, others, clock, add }) => {
      const late = NOW + 31 * MINUTE;
      const fresh = await add({ createdAt: late });
      for (let sweep = 0; sweep < 20; sweep++) {
        while (await store.sweep(late, 7));
        clock.now += SECOND;
      }
      // The fresh one is there yet, the damaged row, and up to two on each side of it: to empty
      // their pages, SQLite reads those beside them.
      const { sessions } = store.stats();
      assert.ok(sessions >= 2 && sessions <= 6, `${sessions} sessions`);
      await assertServed(store, [fresh], late);
      for (const { tokenHash } of others) {
        assert.equal(await store.peek("shop", tokenHash, late), null);
      }
    }));

  test("keeps no touch of a session on another page from the file", () =>
    withDamage(
      () => undefined,
      async ({ store, path, victim, others }) => {
        for (const { tokenHash } of [...others, victim]) {
          await store.touch("shop", tokenHash, NOW + SECOND);
        }
        // While the store has it open; its writer has not read the page.
        damageRow(path, victim);
        await store.close();
        const again = openQuietly(path);
        for (const { tokenHash } of others) {
          assert.equal((await again.peek("shop", tokenHash, NOW))?.reads, 2);
        }
        await again.close();
      },
    ));

  test("spares no session when those of its app end: all are dead at once", () =>
    withDamage(damageRow, async ({ store, victim, others, clock }) => {
      await assert.rejects(store.deleteApp("shop", NOW), isInternal);
      for (const { tokenHash } of others) {
        assert.equal(await store.peek("shop", tokenHash, NOW), null);
      }
      await assert.rejects(async () => store.peek("shop", victim.tokenHash, NOW), isInternal);
      // The sweep cannot reclaim them, and does not try all the time.
      for (let sweep = 0; sweep < 3; sweep++) await store.sweep(NOW, 100);
      clock.now += 60 * SECOND;
      await store.sweep(NOW, 100);
    }));

  test("that the start itself needs refuses the start, and says so", () =>
    withDamage(
      (path) =>
        damagePage(
          path,
          connect(path, (db) =>
            Number(
              db.prepare("SELECT rootpage FROM sqlite_master WHERE name = 'apps'").pluck().get(),
            ),
          ),
        ),
      async () => undefined,
    ).then(
      () => assert.fail("it opened"),
      (error) => {
        assert.ok(error instanceof LatchkeyError);
        assert.equal(error.code, "unavailable");
        assert.match(error.message, /it is damaged .*restore a backup/);
      },
    ));
});
