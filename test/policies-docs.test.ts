import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startServer, type TestServer } from "./transports/server.js";

const page = readFileSync(join(import.meta.dirname, "..", "docs", "sessions-S2.md"), "utf8");
const run = promisify(execFile);

let server: TestServer;
before(async () => {
  server = await startServer();
});
after(() => server.close());

/** Runs the block of a section as it is printed, but for the address; answers what it prints. */
async function runSection(title: string) {
  const section = page.split("\n## ").find((one) => one.replace("## ", "").startsWith(title));
  const block = /```sh\n([\s\S]*?)```/.exec(section ?? "")?.[1] ?? assert.fail(title);
  return run("bash", ["-c", block.replaceAll("localhost:50051", server.grpc)]);
}

function without(tool: string): string | false {
  try {
    execFileSync("which", [tool], { stdio: "ignore" });
    return false;
  } catch {
    return !process.env["CI"] && `${tool} is not installed`;
  }
}

const skip = without("grpcurl");

test("the example of policies sets one and answers it", { skip }, async () => {
  const { stdout } = await runSection("Policies");
  const [set, got] = stdout.split(/^(?=\{)/m).map((text) => JSON.parse(text));
  assert.deepEqual(set, got);
  assert.deepEqual(got.policy, {
    defaultIdleTtl: "900s",
    maxIdleTtl: "3600s",
    maxAbsoluteTtl: "86400s",
    maxSessionsPerUser: 3,
    atLimit: "AT_LIMIT_EVICT_LEAST_RECENTLY_USED",
    bindIp: "BINDING_REPORT",
    bindUserAgent: "BINDING_OFF",
    touchInterval: "60s",
  });
});

test("the example of limits is refused and extends as it says", { skip }, async () => {
  const { stdout, stderr } = await runSection("Idle and absolute limits");
  assert.match(stderr, /InvalidArgument[\s\S]*idle_ttl must be at most 600 s/);
  assert.match(stdout, /refused: more than the maximum/);
  assert.match(stdout, /"idleTtl": "300s"/);
});

test("the example of the cap leaves three sessions", { skip }, async () => {
  assert.match((await runSection("Most sessions")).stdout, /\n3\n$/);
});

test("the example of binding ends the session", { skip }, async () => {
  const { stdout, stderr } = await runSection("Binding");
  assert.match(stdout, /"ip": "192.0.2.7"[\s\S]*the session has ended\n$/);
  assert.match(stderr, /NotFound/);
});

test("the example of reads ends with one read", { skip }, async () => {
  assert.match((await runSection("Reads that")).stdout, /^ *"reads": "1",\n$/m);
});

test("the example of devices shows them and ends two", { skip }, async () => {
  const { stdout, stderr } = await runSection("Devices");
  assert.equal(stderr, "");
  assert.match(stdout, /"device": "Safari on iOS"/);
  assert.match(stdout, /"isCurrent": true,\n\s*"device": "Firefox on Windows"/);
  assert.match(stdout, /"deletedCount": "1"/);
});
