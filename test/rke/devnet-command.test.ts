import assert from "node:assert/strict";
import { Resolver } from "node:dns/promises";
import { existsSync, readdirSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { FAULTS } from "../../src/rke/devnet/fault.js";
import { makeFolder, runLatchkey, startLatchkey } from "../support/process/server.js";

/** Starts `latchkey rke devnet` and reads what it prints. */
async function startDevnetCommand(t: TestContext, ...args: string[]) {
  const program = startLatchkey(t, ["rke", "devnet", ...args], {});
  const [, wallets = "", resolver = ""] = await program.waitFor(
    () =>
      /LATCHKEY_RKE_WALLETS=(\S+) LATCHKEY_RKE_RESOLVERS=(\S+) npm start\n/.exec(
        program.output.stdout,
      ) ?? undefined,
  );
  return { program, wallets, resolver };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`the devnet command runs until ${signal} and leaves nothing behind`, async (t) => {
    const { program, wallets, resolver } = await startDevnetCommand(t);
    assert.ok(existsSync(wallets));
    const dns = new Resolver();
    dns.setServers([resolver]);
    const [strings = []] = await dns.resolveTxt("_rke._udp.devnet.test");
    assert.match(strings.join(""), /^k1 = DEVNET\n127\.0\.0\.1:\d+ k1\n/);
    program.signal(signal);
    assert.deepEqual(await program.end, { status: 0, signal: null });
    assert.equal(program.output.stderr, "");
    assert.equal(existsSync(wallets), false);
  });
}

test("it prints how to create a session and where the Content Server decrypts", async (t) => {
  const folder = `${await makeFolder(t)}/it's one`;
  const args = ["--domain", "Shop.Test", "--folder", folder, "--fault", "3=lose,7=delay:200"];
  const program = startLatchkey(t, ["rke", "devnet", ...args, "--fault", "8=forge"], {});
  const [, content] = await program.waitFor(
    () => /\| curl (http:\S+\/decrypt) -d @-/.exec(program.output.stdout) ?? undefined,
  );
  const { stdout } = program.output;
  assert.ok(stdout.includes(`LATCHKEY_RKE_WALLETS='${folder.replace("'", "'\\''")}' `), stdout);
  const session = `http://127.0.0.1:8080/api/rke/session?domain=shop.test&wallet_path=`;
  assert.ok(stdout.includes(`curl '${session}`), stdout);
  assert.deepEqual(readdirSync(`${folder}/wallet/Bank`), ["coin.bin"]);
  const sealed = { nonce: "00".repeat(12), ciphertext: "A".repeat(32) };
  const answer = await fetch(content ?? "", { method: "POST", body: JSON.stringify(sealed) });
  assert.equal(answer.status, 404);
  program.signal("SIGINT");
  assert.equal((await program.end).status, 0);
  assert.equal(existsSync(folder), false);
});

test("what is wrong is refused in one line, and nothing is left", async (t) => {
  const folder = await makeFolder(t);
  for (const [args, part] of [
    [["--fault", "25=lose"], "0 to 24"],
    [["--domain", "a b"], "--domain must be a host name"],
    [["--domain", `${"a.".repeat(122)}a`], "--domain must be a host name"],
    [["--folder", "/dev/null/x"], "/dev/null/x"],
  ] as const) {
    const given = [...args, ...(args[0] === "--folder" ? [] : ["--folder", `${folder}/new`])];
    const { status, stdout, stderr } = await runLatchkey(t, ["rke", "devnet", ...given], {});
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /^latchkey: [^\n]+\n$/);
    assert.ok(stderr.includes(part), stderr);
  }
  assert.deepEqual(readdirSync(folder), []);
});

test("its help lists every fault", async (t) => {
  const { stdout } = await runLatchkey(t, ["rke", "devnet", "--help"], {});
  for (const kind of Object.keys(FAULTS))
    assert.match(stdout, new RegExp(`^  ${kind}(\\[:N\\])? `, "m"));
});
