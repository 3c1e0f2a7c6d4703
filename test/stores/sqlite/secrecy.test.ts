import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { Database } from "better-sqlite3";
import { createSessions } from "../../../src/services/sessions/sessions.js";
import { withDatabase } from "../../support/stores/database.js";
import { createMint, createTrial, NOW, setKey } from "../../support/stores/fixture.js";

/** The files of the database that contain `needle`, in UTF-8 or UTF-16. */
function filesWith(path: string, needle: string): string[] {
  const folder = dirname(path);
  const forms = [Buffer.from(needle, "utf8"), Buffer.from(needle, "utf16le")];
  return readdirSync(folder).filter((name) => {
    const bytes = readFileSync(join(folder, name));
    return forms.some((form) => bytes.includes(form));
  });
}

/** The rows of all tables in which `text` occurs. */
function rowsWith(db: Database, text: string): unknown[] {
  const tables = db
    .prepare<[], string>("SELECT name FROM sqlite_master WHERE type = 'table'")
    .pluck()
    .all();
  return tables
    .flatMap((table) => db.prepare<[], unknown[]>(`SELECT * FROM "${table}"`).raw().all())
    .filter((row) =>
      row.some((value) =>
        Buffer.isBuffer(value) ? value.includes(text) : String(value).includes(text),
      ),
    );
}

describe("what the file of a SQLite store holds", () => {
  test("it holds the hash of a token and never the token", () =>
    withDatabase(async ({ store, path, inspect }) => {
      const mint = createMint();
      const sessions = createSessions({
        store,
        now: () => NOW,
        randomBytes,
        newSessionId: () => mint().session.id,
        logger: { warn: () => {} },
      });
      const start = (userId: string) => sessions.create({ app: "shop", userId, ip: "::1" });
      const live = await start("ann");
      const ended = await start("bob");
      const requestId = "a-request-id-of-some-length";
      const repeatable = await sessions.create({ app: "shop", userId: "ann", requestId });
      const rotated = await sessions.rotate({ app: "shop", token: repeatable.token, requestId });
      await sessions.touch("shop", live.token);
      await sessions.update({ app: "shop", token: live.token, data: { a: 1 } });
      await sessions.extend({ app: "shop", token: live.token, absoluteTtl: 60 });
      await sessions.deleteUser("shop", "ann", { token: live.token });
      await sessions.delete("shop", { token: ended.token });

      const found = () =>
        [live.token, ended.token, repeatable.token, rotated.token, requestId].flatMap((token) => [
          ...filesWith(path, token),
          ...filesWith(path, Buffer.from(token).toString("hex")),
          ...filesWith(path, Buffer.from(token).toString("base64url").slice(0, 80)),
        ]);
      // The search finds what is there.
      assert.notDeepEqual(filesWith(path, "ann"), []);
      assert.deepEqual(found(), []);
      const hashes = inspect((db) =>
        db.prepare<[], Buffer>("SELECT token_hash FROM sessions").pluck().all(),
      );
      assert.deepEqual(
        hashes.map(({ length }) => length),
        [32],
      );

      await store.close();
      assert.deepEqual(filesWith(path, "ann"), ["latchkey.db"]);
      assert.deepEqual(found(), []);
    }));

  const ids = ["user@example.com", "a:b/c d", "김민준", "👩‍💻🔑", `x' OR "1"='1`, "100%"];
  for (const userId of ids) {
    test(`no row mentions an ended user: ${userId}`, () =>
      withDatabase(async (trial) => {
        const { store, inspect } = trial;
        const { add } = createTrial(trial);
        const own = {
          userId,
          ip: "198.51.100.77",
          userAgent: "Agent of that user",
          data: { note: "a note of that user" },
        };
        const minted = [await add(own), await add(own), await add({ ...own, idleTtl: 1 })];
        await add({ userId: "neighbour" });
        for (const { tokenHash } of minted) {
          await store.update("shop", tokenHash, NOW, setKey("a", 1));
          await store.touch("shop", tokenHash, NOW);
        }
        const texts = [userId, own.ip, own.userAgent, own.data.note];
        const mentions = () => inspect((db) => texts.map((text) => rowsWith(db, text).length));
        assert.deepEqual(mentions(), [3, 3, 3, 3]);

        assert.equal(await store.deleteUser("shop", userId, NOW + 1), 2);
        assert.deepEqual(mentions(), [0, 0, 0, 0]);
        assert.equal(
          inspect((db) => rowsWith(db, "neighbour").length),
          1,
        );
        // Nor does a touch that waited bring anything back.
        await trial.reopen();
        assert.deepEqual(mentions(), [0, 0, 0, 0]);
      }));
  }
});
