import assert from "node:assert/strict";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openHttp } from "../../support/process/http-wire.js";
import { makeFolder, startServer } from "../../support/process/server.js";
import { done } from "../../support/process/wire.js";

const PAGE = 4096;

/** Fills the pages from this one on, or only this one, with bytes that no page has. */
async function damage(path: string, first: number, pages?: number): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  const bytes = pages === undefined ? size - first * PAGE : pages * PAGE;
  await file.write(Buffer.alloc(bytes, 0xee), 0, bytes, first * PAGE);
  await file.close();
}

const isDamage = ({ msg }: Readonly<Record<string, unknown>>) =>
  String(msg).startsWith("a page of the database is damaged");

test("a server with a damaged page fails the calls that need it, logs one line, and serves others", async (t) => {
  const path = join(await makeFolder(t), "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  const first = await startServer(t, env);
  const wire = openHttp(first.http);
  const tokens: string[] = [];
  for (let index = 0; index < 30; index++) {
    const data = { mark: `mark ${index}.`, long: "long ".repeat(700) };
    tokens.push(done(await wire.create(`user${index}`, data)).token);
  }
  wire.close();
  await first.stop();
  const at = (await readFile(path)).indexOf("mark 15.");
  await damage(path, Math.floor(at / PAGE), 1);

  for (let start = 0; start < 2; start++) {
    const server = await startServer(t, env);
    const again = openHttp(server.http);
    for (const [index, token] of tokens.entries()) {
      if (index === 15) await assert.rejects(again.read(token), /answered 500/);
      else assert.equal(done(await again.read(token))["mark"], `mark ${index}.`);
    }
    await assert.rejects(again.read(tokens[15] ?? ""), /answered 500/);
    done(await again.create("late", {}));
    again.close();
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
    assert.equal(server.log().filter(isDamage).length, 1);
    assert.deepEqual(
      server.log().filter(({ level }) => Number(level) >= 60),
      [],
    );
    assert.equal(server.output.stderr, "");
  }
});

test("a server all of whose pages are damaged says so, and lives", async (t) => {
  const path = join(await makeFolder(t), "latchkey.db");
  const env = { LATCHKEY_STORE: `sqlite:${path}` };
  const first = await startServer(t, env);
  const wire = openHttp(first.http);
  const { token } = done(await wire.create("ann", { kept: "long ".repeat(2_000) }));
  wire.close();
  await first.stop();

  const server = await startServer(t, env);
  // All but the first page, without which nothing would open it.
  await damage(path, 1);
  const another = openHttp(server.http);
  await assert.rejects(another.read(token), /answered 500/);
  another.close();
  assert.equal((await fetch(`http://${server.http}/livez`)).status, 200);
  await server.stop();
  assert.ok(server.log().some(isDamage));
  assert.equal(server.output.stderr, "");
});
