import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { makeFolder, ROOT } from "../../support/process/server.js";
import { without } from "../../support/process/tools.js";

const SERVICE = "proto/latchkey/session/v1/session_service.proto";
const run = promisify(execFile);

/** Runs a program with the project's own tools on its path; rejects with what it printed if it fails. */
async function runIn(cwd: string, command: string, ...args: string[]): Promise<string> {
  const PATH = `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}`;
  const env = { ...process.env, PATH, npm_config_update_notifier: "false" };
  const { stdout } = await run(command, args, { cwd, env });
  return stdout;
}

/** A clone of the project with the same packages installed. */
async function clone(t: TestContext): Promise<string> {
  const folder = await makeFolder(t);
  await runIn(ROOT, "git", "clone", "--quiet", ".", folder);
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function edit(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(file, "utf8");
  assert.ok(text.includes(from), `${file} has ${from}`);
  await writeFile(file, text.replace(from, to));
}

test("a field of the contract cannot be renamed", async (t) => {
  const folder = await clone(t);
  await edit(join(folder, SERVICE), "string user_id = 2;", "string user_name = 2;");
  const refused = { stdout: /session_service\.proto:.*Field "2".*"userId".*"userName"/ };
  await assert.rejects(runIn(folder, "sh", ".ci/breaking"), refused);
});

test("generated code that is older than the contract is found, in every language", {
  skip: without("git"),
}, async (t) => {
  const folder = await clone(t);
  const venv = "gen/python/.venv";
  if (existsSync(join(ROOT, "gen/python"))) {
    // The generators that are installed here.
    await mkdir(join(ROOT, venv), { recursive: true });
    await symlink(join(ROOT, venv), join(folder, venv));
    await appendFile(join(folder, ".git/info/exclude"), ".venv\n");
  }
  await edit(join(folder, SERVICE), "message GetSessionRequest {", "$&\n  bool newer = 99;\n");
  const stale = await runIn(folder, "sh", ".ci/generated").then(
    () => "",
    ({ stderr }: { stderr: string }) => stderr,
  );
  assert.match(stale, / M gen\/ts\/latchkey\/session\/v1\/session_service_pb\.ts\n/);
  if (!without("go") && existsSync(join(ROOT, "gen/go"))) {
    assert.match(stale, / M gen\/go\/latchkey\/session\/v1\/session_service\.pb\.go\n/);
  }
  if (!without("python3") && existsSync(join(ROOT, "gen/python"))) {
    assert.match(stale, / M gen\/python\/.*\/session_service_pb2\.py\n/);
  }
  assert.match(stale, /gen\/ is stale: run npm run gen and commit it\n$/);

  const author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
  await runIn(folder, "git", ...author, "commit", "--quiet", "--all", "--message", "Regenerate");
  await runIn(folder, "sh", ".ci/generated");
});

test("another project can build its own .proto files on the contract", async (t) => {
  const folder = await makeFolder(t);
  const buf = (...args: string[]) => runIn(folder, "buf", ...args);
  // Of a checkout, or of a commit of the repository.
  const head = (await runIn(ROOT, "git", "rev-parse", "HEAD")).trim();
  const repository = await runIn(
    ROOT,
    "git",
    "rev-parse",
    "--path-format=absolute",
    "--git-common-dir",
  );
  for (const source of [ROOT, `${repository.trim()}#format=git,ref=${head}`]) {
    await runIn(folder, "rm", "-rf", "latchkey");
    await buf("export", source, "--output", "latchkey");
    await buf("build", "latchkey");

    await mkdir(join(folder, "proto/shop/v1"), { recursive: true });
    await writeFile(
      join(folder, "buf.yaml"),
      "version: v2\nmodules:\n  - path: proto\n  - path: latchkey\n",
    );
    await writeFile(
      join(folder, "proto/shop/v1/cart.proto"),
      [
        'syntax = "proto3";',
        "package shop.v1;",
        'import "latchkey/session/v1/session.proto";',
        "message Cart { latchkey.session.v1.Session session = 1; }",
      ].join("\n"),
    );
    await buf("build");
  }
});
