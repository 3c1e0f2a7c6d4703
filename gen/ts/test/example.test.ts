import assert from "node:assert/strict";
import { test } from "node:test";
import { startProgram } from "../../../test/support/process/program.js";
import { ROOT } from "../../../test/support/process/server.js";

test("the example logs a user in and out, and encrypts", async (t) => {
  const node = [process.execPath, "--import", "tsx"] as const;
  const withServer = [...node, "test/system/clients/with-server.ts"] as const;
  const program = startProgram(t, {
    argv: [...withServer, ...node, "gen/ts/example/login.ts"],
    cwd: ROOT,
    env: {},
    hasChildren: true,
  });
  const { status } = await program.end;
  assert.equal(status, 0, program.output.stderr);
  assert.deepEqual(program.output.stdout.split("\n"), [
    "ann is logged in, her cart has 2",
    "the session was UPDATED",
    "the session ENDED: DELETED",
    "the token opens nothing any more: NOT_FOUND",
    "decrypted: hello",
    "",
  ]);
});
