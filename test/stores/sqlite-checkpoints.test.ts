import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Database } from "better-sqlite3";
import { createCheckpoints } from "../../src/stores/sqlite/checkpoints.js";
import { openConnection } from "../../src/stores/sqlite/connection.js";
import { withFolder } from "./database.js";

interface Trial {
  /** Writes `pages` pages, each in a transaction of its own. */
  readonly write: (pages: number) => void;
  /** Pages of the log, and how many of them the database has. */
  readonly log: () => { readonly log: number; readonly checkpointed: number };
  /** Writes until the log is copied; answers how many pages that took. */
  readonly writeUntilCopied: () => number;
  readonly reader: Database;
}

/** Gives `use` a database whose log each checkpoint takes `took` ms to copy. */
const withLog = (took: number, use: (trial: Trial) => void) =>
  withFolder((folder) => {
    const db = openConnection(join(folder, "log.db"));
    const reader = openConnection(join(folder, "log.db"));
    let now = 0;
    const checkpoints = createCheckpoints({
      db,
      clock: () => {
        now += took;
        return now;
      },
    });
    db.exec("CREATE TABLE pages (id INTEGER PRIMARY KEY, filling INTEGER)");
    const insert = db.prepare(
      "INSERT INTO pages VALUES (1, 1) ON CONFLICT DO UPDATE SET filling = filling + 1",
    );
    const log = () => db.prepare<[], ReturnType<Trial["log"]>>("PRAGMA wal_checkpoint(NOOP)").get();
    const trial: Trial = {
      write(pages) {
        for (let page = 0; page < pages; page++) {
          insert.run();
          checkpoints.afterCommit();
        }
      },
      log: () => log() ?? assert.fail("no answer"),
      writeUntilCopied() {
        for (let pages = 1; pages < 10_000; pages++) {
          trial.write(1);
          const { log, checkpointed } = trial.log();
          if (log === checkpointed) return pages;
        }
        return assert.fail("it is never copied");
      },
      reader,
    };
    db.pragma("synchronous = OFF");
    try {
      use(trial);
    } finally {
      reader.close();
      db.close();
    }
  });

describe("checkpoints", () => {
  test("copy less at once where that takes long, down to 64 pages", () =>
    withLog(1_000, (trial) => {
      const sizes = Array.from({ length: 12 }, trial.writeUntilCopied);
      assert.deepEqual(
        sizes,
        sizes.toSorted((a, b) => b - a),
      );
      assert.ok((sizes[0] ?? 0) > 900, `${sizes}`);
      assert.equal(sizes.at(-1), 64);
    }));

  test("copy more at once where that is quick, up to 4,000 pages", () =>
    withLog(0.01, (trial) => {
      const sizes = Array.from({ length: 3 }, trial.writeUntilCopied);
      assert.equal(sizes.at(-1), 4_000);
    }));

  test("copy what they can while a reader needs the log, and the rest when it is done", () =>
    withLog(20, (trial) => {
      trial.write(100);
      trial.reader.exec("BEGIN; SELECT * FROM pages");
      trial.write(5_000);
      const { log, checkpointed } = trial.log();
      assert.ok(log > 5_000 && checkpointed < 110, `${checkpointed} of ${log}`);
      trial.reader.exec("COMMIT");
      trial.write(1);
      assert.equal(trial.log().log, trial.log().checkpointed);
    }));
});
