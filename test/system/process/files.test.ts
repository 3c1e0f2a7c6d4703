import assert from "node:assert/strict";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openHttp } from "../../support/process/http-wire.js";
import { makeFolder, startServer } from "../../support/process/server.js";
import { done } from "../../support/process/wire.js";

for (const [what, file, change] of [
  ["whose database is deleted", "latchkey.db", (path: string) => rm(path)],
  ["whose database is moved", "latchkey.db", (path: string) => rename(path, `${path}.moved`)],
  ["whose lock is deleted", "latchkey.db.lock", (path: string) => rm(path)],
] as const) {
  test(`a server ${what} ends with status 1, and one line says what to do`, async (t) => {
    const folder = await makeFolder(t);
    const server = await startServer(t, {
      LATCHKEY_STORE: `sqlite:${join(folder, "latchkey.db")}`,
    });
    const wire = openHttp(server.http);
    done(await wire.create("ann", { here: "yes" }));
    await change(join(folder, file));
    assert.deepEqual(await server.end, { status: 1, signal: null });
    wire.close();
    const fatal = server.log().filter(({ level }) => level === 60);
    assert.equal(fatal.length, 1);
    assert.match(String(fatal[0]?.["msg"]), new RegExp(`${file} was deleted or replaced.*start`));
    assert.equal(server.output.stderr, "");
  });
}
