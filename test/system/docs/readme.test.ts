import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { pino } from "pino";
import { SETTINGS } from "../../../src/config/settings.js";
import { type Server, start } from "../../../src/server/start.js";
import { createConfig } from "../../support/config.js";
import { eventually } from "../../support/eventually.js";
import { startProgram } from "../../support/process/program.js";
import { copyProject, NPM_ENV } from "../../support/process/project.js";
import { FREE_PORTS, serverOf } from "../../support/process/server.js";
import { without } from "../../support/process/tools.js";

const root = join(import.meta.dirname, "../../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const run = promisify(execFile);

let server: Server;
before(async () => {
  server = await start({
    config: createConfig({ turnCalls: 64 }),
    logger: pino({ level: "silent" }),
    version: "test",
    onFatal: () => {},
  });
});
after(() => server.close());

/** The first block of the README that contains `text`. */
function printed(text: string): string {
  const blocks = [...readme.matchAll(/```\w+\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
  const block = blocks.find((one) => one.includes(text));
  assert.ok(block, `the README has an example with ${text}`);
  return block;
}

/** The same, with this server's addresses in it. */
function example(text: string): string {
  const { grpc = "", http = "" } = server.addresses;
  return printed(text).replaceAll("localhost:50051", grpc).replaceAll("localhost:8080", http);
}

test("the README's grpcurl example creates a session", { skip: without("grpcurl") }, async () => {
  const { stdout } = await run("bash", ["-c", example("grpcurl -plaintext -d")]);
  const { token, session } = JSON.parse(stdout);
  assert.match(token, /^[A-Za-z0-9]{64}$/);
  assert.deepEqual(session.data, { cart: 2 });
});

test("the README's curl example creates a session", { skip: without("curl") }, async () => {
  const { stdout } = await run("bash", ["-c", example("curl -X PUT")]);
  assert.match(stdout, /^\{"token":"[A-Za-z0-9]{64}"\}$/);
});

test("the README's TypeScript client creates, updates and reads a session", async () => {
  // Inside the package, where its own name resolves as it does in a clone.
  const folder = mkdtempSync(join(root, "readme-"));
  try {
    const file = join(folder, "client.mts");
    writeFileSync(file, example("createGrpcTransport"));
    const { stdout } = await run(process.execPath, ["--import", "tsx", file], { cwd: root });
    assert.equal(stdout, "ann { cart: 3 }\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the README's section on TLS and accounts holds, from the certificate to the revoked key", {
  skip: without("grpcurl", "curl", "openssl"),
}, async (t) => {
  const cwd = await copyProject(t);
  const env = { ...NPM_ENV, npm_config_cache: join(cwd, "npm-cache"), KEY: "" };
  const shell = async (script: string) => {
    const argv = ["bash", "-ec", script] as const;
    const program = startProgram(t, { argv, cwd, env, hasChildren: true });
    return { ...(await program.end), ...program.output };
  };
  const print = async (script: string) => {
    const { status, stdout, stderr } = await shell(script);
    assert.equal(status, 0, `${script}\n${stderr}`);
    return stdout;
  };
  await print("npm run build"); // As `npm ci` does.

  await print(printed("openssl req"));
  env.KEY = await print(`${printed("account key add")}printf %s "$KEY"`);
  assert.match(env.KEY, /^lk_[\w-]{43}$/);

  const argv = ["bash", "-c", printed("LATCHKEY_AUTH=required")] as const;
  const settings = { ...env, ...FREE_PORTS, npm_config_loglevel: "silent" };
  const npm = startProgram(t, { argv, cwd, env: settings, hasChildren: true });
  const { grpc, http } = await serverOf(npm, settings);
  const portOf = (address: string) => address.replace(/.*:/, "");
  const secure = (text: string) =>
    printed(text)
      .replaceAll("localhost:50051", `localhost:${portOf(grpc)}`)
      .replaceAll("localhost:8080", `localhost:${portOf(http)}`);

  const calls = {
    grpcurl: secure("grpcurl -cacert"),
    curl: secure("curl --cacert"),
    client: "npx tsx secure.mts",
  };
  writeFileSync(join(cwd, "secure.mts"), secure('readFileSync("tls.crt")'));
  assert.match(await print(calls.grpcurl), /"token": "[A-Za-z0-9]{64}"/);
  assert.match(await print(calls.curl), /^\{"token":"[A-Za-z0-9]{64}"\}$/);
  assert.equal(await print(calls.client), "shop-server 2\n");

  assert.match(await print(printed("account key revoke")), /app server/);
  await eventually("the revocation", async () => {
    return (await print(calls.curl)).includes("unauthenticated");
  });
  assert.match((await shell(calls.grpcurl)).stderr, /Unauthenticated/);
  assert.match((await shell(calls.client)).stderr, /unauthenticated/);
});

test("the README's two terminals of RKE hold: the devnet's Content Server decrypts what Latchkey encrypted", {
  skip: without("grpcurl", "curl", "jq"),
}, async (t) => {
  const cwd = await copyProject(t);
  const env = { ...NPM_ENV, npm_config_cache: join(cwd, "npm-cache") };
  const start = (script: string, settings = {}) => {
    const argv = ["bash", "-euo", "pipefail", "-c", script] as const;
    return startProgram(t, { argv, cwd, env: { ...env, ...settings }, hasChildren: true });
  };
  const print = async (script: string) => {
    const program = start(script);
    assert.equal((await program.end).status, 0, `${script}\n${program.output.stderr}`);
    return program.output.stdout;
  };
  await print("npm run build"); // As `npm ci` does.

  const devnet = start(printed("latchkey rke devnet"));
  const settingsIn = (text: string) =>
    /(LATCHKEY_RKE_WALLETS=\S+ LATCHKEY_RKE_\S+=)\S+ npm start/.exec(text);
  const [line = "", found = ""] = await devnet.waitFor(
    () => settingsIn(devnet.output.stdout) ?? undefined,
  );
  // What the README shows of that line is such a line, of another folder.
  const [, shown = ""] = settingsIn(printed("LATCHKEY_RKE_WALLETS")) ?? [];
  assert.equal(shown.replace(/=\/\S+/, ""), found.replace(/=\/\S+/, ""));

  const settings = { ...FREE_PORTS, npm_config_loglevel: "silent" };
  const { grpc, http } = await serverOf(start(line, settings), settings);
  const here = (text: string) =>
    printed(text).replaceAll("localhost:50051", grpc).replaceAll("localhost:8080", http);

  const byCurl = here("api=http");
  const answers = valuesIn(await print(byCurl));
  const [sessions, derived, decrypted, deleted] = answers;
  assert.equal(answers.length, 4);
  assert.deepEqual([sessions?.["total"], sessions?.["active"]], [1, 1]);
  assert.equal(derived?.["plaintext"], "aGVsbG8=");
  assert.deepEqual([derived?.["cs_id"], derived?.["key_id"]], ["DEVNET", 1]);
  assert.deepEqual([decrypted?.["plaintext"], decrypted?.["length"]], ["aGVsbG8=", 5]);
  assert.deepEqual([deleted?.["command"], deleted?.["success"]], ["rke_session_delete", true]);

  // Here in a shell of its own, which does not know the port yet.
  const port = byCurl.split("\n").filter((one) => /^(api|port)=/.test(one));
  const byGrpcurl = valuesIn(await print([...port, here("rke=latchkey")].join("\n")));
  const [listed, sealed, opened, ended] = byGrpcurl;
  assert.equal(byGrpcurl.length, 4);
  assert.equal((listed?.["sessions"] as unknown[] | undefined)?.length, 1);
  assert.equal(sealed?.["plaintext"], "aGVsbG8=");
  assert.deepEqual(opened, { results: [{ plaintext: "aGVsbG8=" }] });
  assert.deepEqual(ended, {});
});

/** The JSON objects that stand one after the other in a program's output, indented. */
function valuesIn(output: string): Record<string, unknown>[] {
  return output
    .split(/^(?={)/m)
    .filter((text) => text.trim() !== "")
    .map((text) => JSON.parse(text) as Record<string, unknown>);
}

test("the README's table of settings says what the program knows", () => {
  for (const { variable, flag, fallback, meaning } of SETTINGS) {
    const row = `| \`${variable}\` | \`--${flag}\` | \`${fallback}\` | ${meaning} |`;
    assert.ok(readme.includes(row), `the README has the row ${row}`);
  }
});

test("the README's links to files of the project lead somewhere", () => {
  for (const [, path = ""] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
    assert.doesNotThrow(() => execFileSync("ls", [join(root, path)], { stdio: "ignore" }), path);
  }
});
