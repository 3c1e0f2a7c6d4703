import assert from "node:assert/strict";
import { once } from "node:events";
import { statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../../support/eventually.js";
import { openHttp } from "../../support/process/http-wire.js";
import { startProgram } from "../../support/process/program.js";
import { BIN, FREE_PORTS, makeFolder, ROOT, serverOf } from "../../support/process/server.js";
import { done } from "../../support/process/wire.js";

/** Files that the server may have open, and connections that want to be. */
const FILES = 100;
const CONNECTIONS = 200;

/** Data of sessions that fill 5 MiB of the log, so that it is copied more than once. */
const WRITES = 120;
const DATA = { long: "long ".repeat(10_000) };

test("connections up to the limit of open files keep no write and no copy of the log from the disk", async (t) => {
  const path = join(await makeFolder(t), "latchkey.db");
  const env = { ...FREE_PORTS, LATCHKEY_STORE: `sqlite:${path}`, LATCHKEY_TURN_CALLS: "off" };
  const argv = ["sh", "-c", `ulimit -n ${FILES} && exec "$0" "$@"`, process.execPath, BIN, "serve"];
  const server = await serverOf(
    startProgram(t, { argv: argv as [string, ...string[]], cwd: ROOT, env }),
    env,
  );
  const wire = openHttp(server.http);
  const { token } = done(await wire.create("ann", {}));
  const [host = "", port] = server.http.split(":");
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port), host));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (const socket of sockets) socket.on("error", () => undefined);
  // Some are refused, which shows that the limit is reached.
  await Promise.any(sockets.map((socket) => once(socket.resume(), "close")));

  for (let write = 0; write < WRITES; write++) {
    const created = done(await wire.create(`user${write}`, DATA));
    done(await wire.read(created.token));
  }
  done(await wire.read(token));
  // The log was copied: the database has it.
  await eventually("a copy of the log", () => statSync(path).size > 2 ** 20);
  wire.close();
  for (const socket of sockets) socket.destroy();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.deepEqual(
    server.log().filter(({ level }) => Number(level) >= 50),
    [],
  );
});
