import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import Sqlite from "better-sqlite3";
import { openFailure, translateFailure } from "../../../src/stores/sqlite/file/failure.js";
import { isFileThere } from "../../../src/stores/sqlite/file/presence.js";
import { brokenBy, notCopiedBy, unsyncedBy } from "../../../src/stores/sqlite/threads/failure.js";
import { withFolder } from "../../support/stores/database.js";
import { hasCode } from "../../support/stores/fixture.js";

const failed = (code: string) => new Sqlite.SqliteError("disk I/O error", code);

test("a file without the head of a database is told as damage, and that nothing was written", () => {
  const { message } = translateFailure(failed("SQLITE_NOTADB"), "read");
  assert.match(message, /database is damaged.*restored from a backup.*wrote nothing/);
  assert.doesNotMatch(message, /unknown|restart/);
});

test("a damaged page fails the call that needs it, and no word of it is shown", () => {
  for (const code of ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX"]) {
    for (const work of ["read", "write"] as const) {
      const error = translateFailure(failed(code), work);
      assert.ok(hasCode("internal")(error));
      assert.equal(error.message, "internal server error");
    }
  }
});

test("a write that meets a failing disk or damage is told that its outcome is unknown", () => {
  for (const code of ["SQLITE_NOTADB", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_WRITE"]) {
    assert.match(translateFailure(failed(code)).message, /unknown what was written/);
  }
  assert.match(translateFailure(failed("SQLITE_IOERR_READ"), "read").message, /wrote nothing/);
});

test("a database that a full disk keeps from being opened is told so", () => {
  for (const code of ["SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE", "SQLITE_FULL"]) {
    assert.match(
      openFailure(failed(code), () => 0),
      /^the disk is full/,
    );
  }
  assert.equal(
    openFailure(failed("SQLITE_IOERR_READ"), () => 2 ** 30),
    "disk I/O error",
  );
});

test("a fault of a thread is told in words, also one that lost its class on the way", () => {
  for (const told of [brokenBy, unsyncedBy, notCopiedBy]) {
    for (const cause of [new Error("no space"), { message: "no space" }, "no space"]) {
      assert.match(told(cause).message, /: no space$/);
    }
    assert.doesNotMatch(told({}).message, /object/);
  }
});

test("a file that cannot be looked at is not told as missing", () =>
  withFolder(async (folder) => {
    const file = join(folder, "latchkey.db");
    assert.equal(isFileThere(file), false);
    symlinkSync(file, file);
    assert.throws(() => isFileThere(file), hasCode("unavailable"));
    const other = join(folder, "other.db");
    writeFileSync(other, "");
    assert.equal(isFileThere(other), true);
  }));
