import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { without } from "../../support/process/tools.js";
import { WALLET } from "../../support/rke/fake-exchange.js";
import { openRest, type Rest } from "../../support/transports/rest.js";
import { assertAnswer } from "../../support/transports/rest-trial.js";
import { MINUTE, startServer, type TestServer } from "../../support/transports/server.js";

// The examples of the public pages of the RKE list and delete, with their numbers. Only the ids
// of sessions are those that the server made.

const UNKNOWN = "nonexistent00000000000000000000";
const NO_SESSIONS = '{"command":"rke_sessions","success":true,"total":0,"active":0,"sessions":[]}';
const NOT_FOUND = `{"error":true,"message":"Session not found","code":404,"session_id":"${UNKNOWN}"}`;

let server: TestServer;
let rest: Rest;
let base: string;
before(async () => {
  server = await startServer();
  rest = openRest(server.http);
  base = `http://${server.http}`;
});
after(async () => {
  rest.close();
  await server.close();
});

const get = async (path: string) => (await rest.call("GET", `/api/rke/${path}`)).text;

async function create(domain: string): Promise<string> {
  const { session_id } = JSON.parse(await get(`session?domain=${domain}&wallet_path=${WALLET}`));
  return String(session_id);
}

async function use(id: string, encrypts: number, decrypts: number): Promise<void> {
  const times = (count: number, path: string) =>
    Promise.all(Array.from({ length: count }, () => get(path)));
  await times(encrypts, `encrypt?session_id=${id}&plaintext=YQ==`);
  await times(decrypts, `decrypt?session_id=${id}&ciphertext=YQ==&nonce=${"0".repeat(32)}`);
}

/** Makes the page's two sessions, at its times, and answers its list of them. */
async function fill() {
  const start = Date.UTC(2025, 10, 30, 10);
  server.clock.advance(start - server.clock.now());
  const first = await create("content.example.com");
  await use(first, 15, 12);
  server.clock.advance(30 * MINUTE);
  const second = await create("media.cloudcoin.global");
  await use(second, 3, 0);
  return {
    command: "rke_sessions",
    success: true,
    total: 2,
    active: 2,
    sessions: [
      {
        session_id: first,
        domain: "content.example.com",
        cs_id: "EXAMPLE_SERVER",
        created_at: "2025-11-30T10:00:00Z",
        expires_at: "2025-11-30T11:00:00Z",
        encrypt_count: 15,
        decrypt_count: 12,
      },
      {
        session_id: second,
        domain: "media.cloudcoin.global",
        cs_id: "MEDIA_SERVER_1",
        created_at: "2025-11-30T10:30:00Z",
        expires_at: "2025-11-30T11:30:00Z",
        encrypt_count: 3,
        decrypt_count: 0,
      },
    ],
  };
}

test("list and delete are as on the pages, to the byte", async () => {
  assertAnswer(await rest.call("GET", "/api/rke/sessions"), NO_SESSIONS);
  const list = await fill();
  assertAnswer(await rest.call("GET", "/api/rke/sessions"), JSON.stringify(list));
  for (const { session_id } of list.sessions) {
    assertAnswer(
      await rest.call("GET", `/api/rke/session/delete?session_id=${session_id}`),
      JSON.stringify({ command: "rke_session_delete", success: true, session_id }),
    );
  }
  const unknown = `/api/rke/session/delete?session_id=${UNKNOWN}`;
  assertAnswer(await rest.call("GET", unknown), NOT_FOUND, 404);
  assertAnswer(await rest.call("GET", "/api/rke/sessions"), NO_SESSIONS);
});

test("the pages' curl commands answer what the pages say", {
  skip: without("curl", "jq"),
}, async () => {
  const run = async (script: string) => {
    const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script]);
    return stdout;
  };
  const list = await fill();
  const ids = list.sessions.map(({ session_id }) => session_id);
  const [first = "", second = ""] = ids;
  const deleted = (session_id: string) => ({
    command: "rke_session_delete",
    success: true,
    session_id,
  });

  assert.equal(await run(`curl "${base}/api/rke/sessions"`), JSON.stringify(list));
  assert.deepEqual(JSON.parse(await run(`curl "${base}/api/rke/sessions" | jq`)), list);
  assert.deepEqual(
    (await run(`curl "${base}/api/rke/sessions" | jq -r '.sessions[].session_id'`)).split("\n"),
    [...ids, ""],
  );
  const url = `${base}/api/rke/session/delete?session_id=`;
  assert.equal(await run(`curl "${url}${first}"`), JSON.stringify(deleted(first)));
  const inVariable = (id: string) => `SESSION_ID="${id}"\ncurl "${url}$SESSION_ID"`;
  assert.deepEqual(JSON.parse(await run(`${inVariable(second)} | jq`)), deleted(second));
  assert.equal(await run(inVariable(UNKNOWN)), NOT_FOUND);
  assert.equal(await run(`curl "${base}/api/rke/sessions"`), NO_SESSIONS);
});

test("a client in Go as the pages have it lists and deletes", { skip: without("go") }, async () => {
  const run = async (...args: string[]) => {
    const file = join(import.meta.dirname, "page.go");
    const { stdout } = await promisify(execFile)("go", ["run", file, base, ...args], {
      // Whatever project the folder may lie in, and no other Go than the one installed.
      env: { ...process.env, GO111MODULE: "off", GOTOOLCHAIN: "local" },
    });
    return stdout;
  };
  const { sessions } = await fill();
  const lines = sessions.map((session) => Object.values(session).join(" "));
  assert.equal(await run("list"), ["rke_sessions true 2 2", ...lines, ""].join("\n"));
  for (const { session_id } of sessions) {
    assert.equal(await run("delete", session_id), `rke_session_delete true ${session_id}\n`);
  }
  assert.equal(await run("delete", UNKNOWN), ` false ${UNKNOWN}\n`);
  assert.equal(await run("list"), "rke_sessions true 0 0\n");
});
