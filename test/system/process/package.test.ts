import assert from "node:assert/strict";
import { chmod, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { openHttp } from "../../support/process/http-wire.js";
import { startProgram } from "../../support/process/program.js";
import { copyProject, NPM_ENV } from "../../support/process/project.js";
import { FREE_PORTS, makeFolder, ROOT, serverOf } from "../../support/process/server.js";
import { done } from "../../support/process/wire.js";

/** The command is run by the Node that is first on the path: the one of these tests. */
const OWN_NODE = { PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };

test("npm pack gives a package whose command and contract work where it is installed", async (t) => {
  const cwd = await copyProject(t);
  const consumer = await makeFolder(t);
  const run = async (argv: readonly [string, ...string[]], where: string) => {
    const program = startProgram(t, {
      argv,
      cwd: where,
      env: { ...NPM_ENV, ...OWN_NODE },
      hasChildren: true,
    });
    assert.deepEqual(await program.end, { status: 0, signal: null }, program.output.stderr);
    return program.output.stdout;
  };

  await run(["npm", "pack", "--silent", "--pack-destination", consumer], cwd);
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
    version: string;
  };
  const tarball = join(consumer, `latchkey-${version}.tgz`);
  const files = (await run(["tar", "-tzf", tarball], consumer)).trim().split("\n");
  const strangers = files.filter(
    (file) =>
      !/^package\/(dist\/(src|gen)\/|proto\/|(package\.json|LICENSE|README\.md)$)/.test(file),
  );
  assert.deepEqual(strangers, []);

  // As npm installs it, but with the packages that are installed here.
  const installed = join(consumer, "node_modules", "latchkey");
  await mkdir(installed, { recursive: true });
  await run(["tar", "-xzf", tarball, "--strip-components=1", "-C", installed], consumer);
  await symlink(join(ROOT, "node_modules"), join(installed, "node_modules"));
  const { bin } = JSON.parse(await readFile(join(installed, "package.json"), "utf8")) as {
    bin: { latchkey: string };
  };
  await chmod(join(installed, bin.latchkey), 0o755);
  const latchkey = join(consumer, "latchkey");
  await symlink(join(installed, bin.latchkey), latchkey);

  assert.equal(await run([latchkey, "--version"], consumer), `${version}\n`);
  const env = {
    ...OWN_NODE,
    ...FREE_PORTS,
    LATCHKEY_STORE: `sqlite:${join(consumer, "latchkey.db")}`,
  };
  const program = startProgram(t, { argv: [latchkey, "serve"], cwd: consumer, env });
  const server = await serverOf(program, env);
  const wire = openHttp(server.http);
  const { token } = done(await wire.create("ann", { packed: true }));
  assert.deepEqual(done(await wire.read(token)), { packed: true });
  wire.close();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });

  await writeFile(join(consumer, "package.json"), '{ "name": "consumer" }');
  await writeFile(
    join(consumer, "contract.mjs"),
    'import { SessionService } from "latchkey/session";\nconsole.log(SessionService.typeName);\n',
  );
  const contract = await run([process.execPath, "contract.mjs"], consumer);
  assert.equal(contract, "latchkey.session.v1.SessionService\n");
});
