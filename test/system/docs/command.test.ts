import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { COMMAND_LIMITS } from "../../../src/transports/command/listener.js";
import { withCommandListener } from "../../support/transports/command-listener.js";

const run = promisify(execFile);
const page = readFileSync(new URL("../../../docs/command.md", import.meta.url), "utf8");

function block(language: string): string {
  const found = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)?.[1];
  assert.ok(found, `docs/command.md has a block of ${language}`);
  return found;
}

function withoutPython(): string | false {
  if (process.env["CI"]) return false;
  try {
    execFileSync("python3", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "python3 is not installed";
  }
}

test("the page's client logs in and shows its session", { skip: withoutPython() }, () =>
  withCommandListener({}, async ({ address }) => {
    const [host, port] = address.split(":");
    const program = block("python").replace('("localhost", 9219)', `("${host}", ${port})`);
    const env = { ...process.env, NAME: "admin", PASSWORD: "secret" };
    const { stdout } = await run("python3", ["-c", program], { env });
    const [connected, pong, ...session] = stdout.split("\n");
    assert.deepEqual([connected, pong], ["Connected", "PONG hello"]);
    const shown = JSON.parse(session.join("\n"));
    assert.equal(shown.user.Username, "admin");
    // The page's own example has the same fields, in the same order and of the same types.
    assert.deepEqual(shape(shown), shape(JSON.parse(block("json"))));

    const wrong = run("python3", ["-c", program], { env: { ...env, PASSWORD: "wrong" } });
    await assert.rejects(wrong, /unauthorized or session not found/);
  }),
);

function shape(value: unknown): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value).map(([key, part]) => [key, shape(part)])
    : typeof value;
}

test(
  "the page's client shows a session to a server without authentication, too",
  {
    skip: withoutPython(),
  },
  () =>
    withCommandListener({ auth: "off" }, async ({ address }) => {
      const [host, port] = address.split(":");
      const program = block("python").replace('("localhost", 9219)', `("${host}", ${port})`);
      const { NAME: _, PASSWORD: __, ...env } = process.env;
      const { stdout } = await run("python3", ["-c", program], { env });
      const [connected, pong, ...session] = stdout.split("\n");
      assert.deepEqual([connected, pong], ["Connected", "PONG hello"]);
      const shown = JSON.parse(session.join("\n"));
      assert.deepEqual(shown.user, { Password: "*******", Role: "Admin", Username: "" });
      assert.deepEqual(shape(shown), shape(JSON.parse(block("json"))));
    }),
);

test("the page's limits are the listener's", () => {
  const { frame, firstCommand, drain, connections, perAddress } = COMMAND_LIMITS;
  for (const text of [
    `| ${frame.toLocaleString("en")} bytes of body |`,
    `complete ${firstCommand / 1_000} s after`,
    `after ${drain / 1_000} s the connection is cut`,
    `| ${connections.toLocaleString("en")} in all (`,
    `, ${perAddress.toLocaleString("en")} from one address (`,
  ]) {
    assert.ok(page.includes(text), text);
  }
});
