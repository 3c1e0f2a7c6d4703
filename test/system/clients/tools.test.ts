import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { eventually } from "../../support/eventually.js";
import { makeFolder, ROOT } from "../../support/process/server.js";
import { without } from "../../support/process/tools.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { startTls } from "../../support/tls/trial.js";
import { REFLECTIONS } from "../../support/transports/reflection.js";
import { type Addresses, startServer, type TestServer } from "../../support/transports/server.js";

const run = promisify(execFile);
const page = readFileSync(join(ROOT, "docs/clients.md"), "utf8");
const CREATED = /"token":\s*"[A-Za-z0-9]{64}"/;

/** The page's block of commands that begins with these words, calling this server. */
function block(start: string, { grpc, http }: Addresses): string {
  const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  const found = blocks.find((text) => text.startsWith(start));
  assert.ok(found, `docs/clients.md has a block that begins with ${start}`);
  return found.replaceAll("localhost:50051", grpc).replaceAll("localhost:8080", http);
}

/** What the commands print; rejects if one of them fails. */
async function print(commands: string, env: Readonly<Record<string, string>> = {}) {
  // npm's notes on a newer npm do not belong to it.
  const settings = { ...process.env, npm_config_update_notifier: "false", ...env };
  const { stdout } = await run("bash", ["-euo", "pipefail", "-c", commands], {
    cwd: ROOT,
    env: settings,
    timeout: 120_000,
  });
  return stdout;
}

describe("docs/clients.md on tools", () => {
  let server: TestServer;
  before(async () => {
    server = await startServer();
  });
  after(() => server.close());

  test("grpcurl lists, describes and calls", { skip: without("grpcurl") }, async () => {
    const printed = await print(block("grpcurl -plaintext localhost", server));
    assert.match(printed, /^latchkey\.session\.v1\.SessionService$/m);
    assert.match(printed, /latchkey\.session\.v1\.CreateSessionRequest is a message/);
    assert.match(printed, CREATED);
  });

  test("buf curl calls over gRPC by reflection, and over Connect by the contract", async () => {
    const printed = await print(block("npx buf curl --http2", server));
    assert.equal(printed.match(new RegExp(CREATED, "g"))?.length, 2);
  });

  for (const version of REFLECTIONS) {
    test(`buf curl finds all methods by reflection ${version}`, async () => {
      const methods = await print(
        `npx buf curl --http2-prior-knowledge --protocol grpc --list-methods --reflect-protocol grpc-${version} http://${server.grpc}`,
      );
      assert.match(methods, /latchkey\.session\.v1\.SessionService\/WatchSessions/);
      assert.match(methods, /latchkey\.rke\.v1\.RkeService\/EncryptStream/);
    });
  }

  test("curl calls with plain JSON", { skip: without("curl") }, async () => {
    assert.match(await print(block("curl -s", server)), CREATED);
  });

  test("grpc_health_probe asks for the server's health and a service's, and fails for a service that is not there", {
    skip: without("grpc_health_probe"),
  }, async () => {
    const commands = block("grpc_health_probe -addr", server);
    await print(commands);
    const unknown = commands.replace("session.v1.SessionService", "session.v1.NoService");
    await assert.rejects(print(unknown), { code: 3 });
  });

  test("all of them call by TLS with a key", {
    skip: without("grpcurl", "grpc_health_probe", "openssl"),
  }, async (t) => {
    const authority = createAuthority();
    t.after(authority.close);
    const { accounts, addresses, log } = await startTls(t, authority.issue("localhost"));
    const KEY = await accounts.newKey("ann");
    await eventually("the key's notice", () => log.some((line) => line.includes("key added")));
    const ca = join(await makeFolder(t), "tls.crt");
    writeFileSync(ca, authority.cert);
    const commands = block("grpcurl -cacert", addresses).replaceAll("tls.crt", ca);

    const printed = await print(commands, { KEY });
    assert.match(printed, /^latchkey\.session\.v1\.SessionService$/m);
    assert.match(printed, /"account":\s*"ann"/);
    await assert.rejects(print(commands, { KEY: "lk_wrong" }), /unauthenticated/i);
    const byBuf = commands.slice(commands.indexOf("npx buf curl"));
    // It keeps to itself why there is no reflection.
    await assert.rejects(print(byBuf, { KEY: "lk_wrong" }), /failed to find service/);
  });
});
