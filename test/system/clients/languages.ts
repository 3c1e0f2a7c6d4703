import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify, stripVTControlCharacters } from "node:util";
import { eventually } from "../../support/eventually.js";
import { makeFolder, ROOT } from "../../support/process/server.js";
import { without } from "../../support/process/tools.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { startTls } from "../../support/tls/trial.js";
import { withServer } from "../../support/transports/server.js";

// Not found by `npm test`: compilers take both cores for a minute.

const run = promisify(execFile);
const page = readFileSync(join(ROOT, "docs/languages/README.md"), "utf8");
const authority = createAuthority();
after(() => authority.close());

/** The first block of commands below a heading of the page. */
function commandsOf(title: string): string {
  const block = new RegExp(`^#+ ${title}\n[\\s\\S]*?\`\`\`sh\n([\\s\\S]*?)\`\`\``, "m").exec(
    page,
  )?.[1];
  assert.ok(block, `docs/languages/README.md has commands of ${title}`);
  return block;
}

// Each waits for its tools to fetch and start, more than it computes.
describe("templates", { concurrency: true }, () => {
  for (const { title, language, tools } of [
    { title: "Java", language: "java", tools: ["java", "mvn"] },
    { title: "Rust", language: "rust", tools: ["cargo", "cc"] },
  ]) {
    test(`the template in ${title} makes a session and reads it, in the open and by TLS with a key`, {
      skip: without(...tools),
      timeout: 900_000,
    }, async (t) => {
      const folder = await makeFolder(t);
      const copy = commandsOf("Clients in other languages")
        .replace("LANGUAGE=java", `LANGUAGE=${language}`)
        .replaceAll("../latchkey-", `${folder}/latchkey-`);
      await run("bash", ["-euc", copy], { cwd: ROOT });

      const { ADDRESS, CA, KEY, ...others } = process.env;
      const print = async (settings: Readonly<Record<string, string>>) => {
        // What Cargo compiled of other packages is kept from run to run.
        const env = { ...others, CARGO_TARGET_DIR: join(ROOT, "dist/languages"), ...settings };
        const cwd = join(folder, `latchkey-${language}`);
        const { stdout } = await run("bash", ["-euc", commandsOf(title)], { cwd, env });
        return stripVTControlCharacters(stdout);
      };

      await withServer("memory", async ({ grpc }) => {
        assert.equal(await print({ ADDRESS: grpc }), "ann 2\n");
      });

      const { accounts, addresses, log } = await startTls(t, authority.issue("localhost"));
      const key = await accounts.newKey("ann");
      await eventually("the key's notice", () => log.some((line) => line.includes("key added")));
      const ca = join(folder, "ca.crt");
      writeFileSync(ca, authority.cert);
      const secure = { ADDRESS: addresses.grpc.replace("127.0.0.1", "localhost"), CA: ca };
      assert.equal(await print({ ...secure, KEY: key }), "ann 2\n");
      // Maven tells of it on its standard output.
      const told = (error: Error & { stdout?: string }) => `${error}${error.stdout}`;
      await assert.rejects(print({ ...secure, KEY: "lk_wrong" }), (error: Error) =>
        /unauthenticated/i.test(told(error)),
      );
    });
  }
});
