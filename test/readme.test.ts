import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { pino } from "pino";
import { SETTINGS } from "../src/config.js";
import { type Server, start } from "../src/main.js";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const run = promisify(execFile);

let server: Server;
before(async () => {
  server = await start({
    config: {
      grpc: "127.0.0.1:0",
      http: "127.0.0.1:0",
      command: "127.0.0.1:0",
      auth: "off",
      publicParts: ["health"],
      tls: null,
      httpHosts: [],
      httpOrigins: [],
      store: { scheme: "memory" },
      logLevel: "silent",
      warnings: [],
    },
    log: pino({ level: "silent" }),
    version: "test",
    onFatal: () => {},
  });
});
after(() => server.close());

/** The first block of the README that contains `text`, with this server's addresses in it. */
function example(text: string): string {
  const blocks = [...readme.matchAll(/```\w+\n([\s\S]*?)```/g)].map(([, block = ""]) => block);
  const block = blocks.find((one) => one.includes(text));
  assert.ok(block, `the README has an example with ${text}`);
  const { grpc = "", http = "" } = server.addresses;
  return block.replaceAll("localhost:50051", grpc).replaceAll("localhost:8080", http);
}

function has(tool: string): boolean {
  try {
    execFileSync("which", [tool], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Why a test that needs `tool` cannot run here; in CI it must run. */
function without(tool: string): string | false {
  return !process.env["CI"] && !has(tool) && `${tool} is not installed`;
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
