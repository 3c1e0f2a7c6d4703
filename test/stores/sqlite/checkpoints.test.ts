import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import Sqlite, { type Database } from "better-sqlite3";
import { createCheckpoints } from "../../../src/stores/sqlite/checkpoint/checkpoints.js";
import { openCheckpointer } from "../../../src/stores/sqlite/checkpoint/client.js";
import { openConnection } from "../../../src/stores/sqlite/file/connection.js";
import { withFolder } from "../../support/stores/database.js";
import { turns } from "../../support/stores/faulty-disk.js";

interface Trial {
  /** Writes `pages` pages, each in a transaction of its own. */
  readonly write: (pages: number) => void;
  /** Writes so many MiB in one transaction. */
  readonly grow: (mebibytes: number) => void;
  /** Size of the log's file, in MiB. */
  readonly logSize: () => number;
  /** Pages of the log, and how many of them the database has. */
  readonly log: () => { readonly log: number; readonly checkpointed: number };
  /** Writes until the checkpointer is asked to copy, so many pages at most; answers how many. */
  readonly writeUntilAsked: () => number;
  /** Pages that the log had and the database had not, whenever the checkpointer was asked. */
  readonly asked: readonly number[];
  /** Writes until the checkpointer is asked, and has it answer, so many times. */
  readonly copyTimes: (rounds: number) => Promise<void>;
  /** Has the checkpointer answer that it copied what was in the log when it was asked, or failed. */
  readonly answer: (error?: Error) => Promise<void>;
  readonly checkpoints: ReturnType<typeof createCheckpoints>;
  readonly reader: Database;
  readonly failures: readonly Error[];
}

/** Gives `use` a database whose log each copy takes `took` ms to be moved by. */
const withLog = (took: number, use: (trial: Trial) => Promise<void>) =>
  withFolder(async (folder) => {
    const path = join(folder, "log.db");
    const open = () => openConnection(path);
    const [db, beside, pin, reader] = [open(), open(), open(), open()];
    let now = 0;
    const asked: number[] = [];
    const failures: Error[] = [];
    let answer: (error?: Error) => void = () => assert.fail("nothing was asked");
    const checkpoints = createCheckpoints({
      db,
      checkpointer: {
        copy() {
          const { log, checkpointed } = trial.log();
          asked.push(log - checkpointed);
          // What is written from here on is not copied.
          pin.exec("BEGIN; SELECT * FROM pages");
          return new Promise((resolve, reject) => {
            answer = (error) => (error ? reject(error) : resolve());
          });
        },
        close: async () => {},
      },
      clock: () => {
        now += took;
        return now;
      },
      onSyncFailure: (error) => failures.push(error),
    });
    db.exec("CREATE TABLE pages (id INTEGER PRIMARY KEY, filling INTEGER)");
    const insert = db.prepare(
      "INSERT INTO pages VALUES (1, 1) ON CONFLICT DO UPDATE SET filling = filling + 1",
    );
    const measure = db.prepare<[], ReturnType<Trial["log"]>>("PRAGMA wal_checkpoint(NOOP)");
    const trial: Trial = {
      write(pages) {
        for (let page = 0; page < pages; page++) {
          insert.run();
          checkpoints.afterCommit();
        }
      },
      grow(mebibytes) {
        db.exec(`CREATE TABLE large AS SELECT zeroblob(${mebibytes * 2 ** 20}) AS filling`);
      },
      logSize: () => statSync(`${path}-wal`).size / 2 ** 20,
      log: () => measure.get() ?? assert.fail("no answer"),
      writeUntilAsked() {
        const before = asked.length;
        for (let pages = 1; pages < 10_000; pages++) {
          trial.write(1);
          if (asked.length > before) return pages;
        }
        return assert.fail("it is never copied");
      },
      asked,
      async copyTimes(rounds) {
        for (let round = 0; round < rounds; round++) {
          trial.writeUntilAsked();
          await trial.answer();
        }
      },
      async answer(error) {
        beside.pragma("wal_checkpoint(PASSIVE)");
        pin.exec("COMMIT");
        answer(error);
        await turns(2);
      },
      checkpoints,
      reader,
      failures,
    };
    db.pragma("synchronous = OFF");
    try {
      await use(trial);
    } finally {
      for (const one of [reader, pin, beside, db]) one.close();
    }
  });

const failed = (code: string) => new Sqlite.SqliteError("injected", code);

describe("checkpoints", () => {
  test("have the log copied beside the writer, who copies the last pages and begins it anew", () =>
    withLog(20, async (trial) => {
      trial.writeUntilAsked();
      assert.deepEqual(trial.asked, [1_000]);
      trial.write(50);
      await trial.answer();
      assert.deepEqual(trial.asked, [1_000]);
      assert.deepEqual(trial.log(), { busy: 0, log: 1_050, checkpointed: 1_050 });
      trial.write(1);
      assert.equal(trial.log().log, 1);
    }));

  test("have copied again what was written meanwhile, until little is left", () =>
    withLog(20, async (trial) => {
      trial.writeUntilAsked();
      trial.write(400);
      await trial.answer();
      trial.write(100);
      await trial.answer();
      trial.write(10);
      await trial.answer();
      assert.deepEqual(trial.asked, [1_000, 400, 100]);
      assert.equal(trial.log().checkpointed, 1_510);
    }));

  test("end although more and more is written meanwhile: the writer copies it", () =>
    withLog(20, async (trial) => {
      trial.writeUntilAsked();
      trial.write(900);
      await trial.answer();
      assert.deepEqual(trial.asked, [1_000]);
      assert.equal(trial.log().checkpointed, 1_900);
    }));

  test("come at fewer pages where copies take long, down to 128", () =>
    withLog(1_000, async ({ copyTimes, asked }) => {
      await copyTimes(12);
      assert.deepEqual(
        asked,
        asked.toSorted((a, b) => b - a),
      );
      assert.equal(asked[0], 1_000);
      assert.equal(asked.at(-1), 128);
    }));

  test("come at more pages where copies are quick, up to 4,000", () =>
    withLog(0.01, async ({ copyTimes, asked }) => {
      await copyTimes(3);
      assert.equal(asked.at(-1), 4_000);
    }));

  test("wait for more pages while a reader needs the log, and copy all when it is done", () =>
    withLog(20, async (trial) => {
      trial.write(100);
      trial.reader.exec("BEGIN; SELECT * FROM pages");
      trial.writeUntilAsked();
      await trial.answer();
      for (let round = 1; round <= 2; round++) {
        assert.equal(trial.writeUntilAsked(), 1_000);
        await trial.answer();
      }
      const { log, checkpointed } = trial.log();
      assert.ok(log > 2_900 && checkpointed < 110, `${checkpointed} of ${log}`);
      trial.reader.exec("COMMIT");
      trial.writeUntilAsked();
      await trial.answer();
      assert.equal(trial.log().checkpointed, trial.log().log);
    }));

  test("cut a log that grew long by 16 MiB each time that it begins anew, down to 64", () =>
    withLog(20, async (trial) => {
      trial.grow(100);
      trial.writeUntilAsked();
      const grown = trial.logSize();
      const sizes: number[] = [];
      for (let round = 0; round < 4; round++) {
        if (round > 0) trial.writeUntilAsked();
        await trial.answer();
        trial.write(1);
        sizes.push(trial.logSize());
      }
      assert.deepEqual(sizes, [grown - 16, grown - 32, 64, 64]);
    }));

  test("leave all in the log, and copy no more, when what was copied could not be synced", () =>
    withLog(20, async (trial) => {
      trial.writeUntilAsked();
      trial.write(1);
      const failure = failed("SQLITE_IOERR_FSYNC");
      await trial.answer(failure);
      assert.deepEqual(trial.failures, [failure]);
      trial.write(5_000);
      assert.equal(trial.asked.length, 1);
      assert.ok(trial.log().log > 6_000);
    }));

  for (const code of ["SQLITE_FULL", "SQLITE_IOERR_WRITE"]) {
    test(`try again after a copy that failed by ${code}, which nobody is told of`, () =>
      withLog(20, async (trial) => {
        trial.writeUntilAsked();
        await trial.answer(failed(code));
        assert.equal(trial.writeUntilAsked(), 1_000);
        await trial.answer();
        assert.deepEqual(trial.failures, []);
        assert.equal(trial.log().checkpointed, trial.log().log);
      }));
  }

  test("are closed when the copy under way is done", () =>
    withLog(20, async (trial) => {
      trial.writeUntilAsked();
      let isClosed = false;
      const closed = trial.checkpoints.close().then(() => {
        isClosed = true;
      });
      await turns(3);
      assert.equal(isClosed, false);
      await trial.answer();
      await closed;
    }));
});

describe("a thread that copies the log", () => {
  test("that cannot start fails each copy as one that did not begin, until it can", () =>
    withFolder(async (folder) => {
      const path = join(folder, "folder", "log.db");
      const file = openSync(join(folder, "synced"), "w");
      const checkpointer = openCheckpointer({ path, file });
      for (let copy = 0; copy < 3; copy++) {
        await assert.rejects(checkpointer.copy(), { code: "SQLITE_CANTOPEN" });
      }
      mkdirSync(join(folder, "folder"));
      const db = openConnection(path);
      db.exec("CREATE TABLE pages (content)");
      await checkpointer.copy();
      await checkpointer.close();
      db.close();
      closeSync(file);
    }));

  test("that cannot start is closed all the same", () =>
    withFolder(async (folder) => {
      await openCheckpointer({ path: join(folder, "folder", "log.db"), file: 0 }).close();
    }));

  test("whose sync fails fails the copy as one that was not synced", () =>
    withFolder(async (folder) => {
      const path = join(folder, "log.db");
      const db = openConnection(path);
      const checkpointer = openCheckpointer({ path, file: -1 });
      await assert.rejects(checkpointer.copy(), { code: "SQLITE_IOERR_FSYNC" });
      await checkpointer.close();
      db.close();
    }));
});
