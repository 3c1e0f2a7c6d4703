import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openHttp } from "./http-wire.js";
import { makeFolder, startServer } from "./server.js";
import { done } from "./wire.js";

test("a server whose file is damaged refuses calls, logs why, and ends with status 1", async (t) => {
  const path = join(await makeFolder(t), "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  const first = await startServer(t, env);
  const wire = openHttp(first.http);
  const { token } = done(await wire.create("ann", { kept: "long ".repeat(2_000) }));
  wire.close();
  await first.stop();

  const server = await startServer(t, env);
  const file = await open(path, "r+");
  const { size } = await file.stat();
  // All but the first page, without which nothing would open it.
  await file.write(Buffer.alloc(size - 4096, 0xee), 0, size - 4096, 4096);
  await file.close();

  const another = openHttp(server.http);
  assert.equal(await another.read(token), "unanswered");
  another.close();
  assert.deepEqual(await server.end, { status: 1, signal: null });
  const fatal = server.log().filter(({ level }) => level === 60);
  assert.deepEqual(
    fatal.map(({ msg }) => msg),
    ["the database is damaged: restore a backup"],
  );
  assert.equal(server.output.stderr, "");
});
