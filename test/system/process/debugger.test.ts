import assert from "node:assert/strict";
import { test } from "node:test";
import { startServer } from "../../support/process/server.js";

test("SIGUSR1 does not open Node's debugger, by which keys could be read", async (t) => {
  const server = await startServer(t, { LATCHKEY_STORE: "memory:" });
  server.signal("SIGUSR1");
  await server.logged("SIGUSR1 does nothing: the debugger stays closed");
  await server.stop();
  assert.equal(server.output.stderr, "");
});
