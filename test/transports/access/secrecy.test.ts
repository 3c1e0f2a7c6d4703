import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { basicOf } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { startProgram } from "../../support/process/program.js";
import { BIN, makeFolder, ROOT, type Server, startServer } from "../../support/process/server.js";
import { dial, request, speak } from "../../support/transports/command-client.js";
import { openRest, type RestBody } from "../../support/transports/rest.js";
import { openWire, WIRES } from "../../support/transports/wires.js";

const ACCOUNT = "front-end-account";
const SECRETS = {
  password: "correct horse: battery staple",
  "a password before": "an older horse; battery staple",
  "a wrong password": "wrong horse, wrong staple",
  "an unknown key": `lk_${"Wrong-key_0".repeat(4).slice(0, 43)}`,
  "an unknown token": "Unknown0".repeat(8),
};

/** What a search goes through, by what it is. */
type Heap = Map<string, Buffer[]>;

/** The forms that a secret may take on its way. */
function formsOf(secret: string): Buffer[] {
  const bytes = Buffer.from(secret);
  return [
    bytes,
    Buffer.from(secret, "utf16le"),
    Buffer.from(encodeURIComponent(secret)),
    Buffer.from(JSON.stringify(secret).slice(1, -1)),
    Buffer.from(bytes.toString("hex")),
    Buffer.from(bytes.toString("base64").slice(0, 20)),
    // As the header of Basic has it.
    Buffer.from(basicOf(ACCOUNT, secret).slice("Basic ".length)),
    ...(secret.startsWith("lk_") ? [Buffer.from(secret.slice(3), "base64url")] : []),
  ];
}

function foundIn(heap: Heap, needle: Buffer): string[] {
  return [...heap]
    .filter(([, parts]) => parts.some((part) => part.includes(needle)))
    .map(([of]) => of);
}

/** Runs `latchkey account …`; notes what the process list shows of it, and answers what it prints. */
async function runAccount(
  t: TestContext,
  store: string,
  heap: Heap,
  args: readonly string[],
  password?: string,
): Promise<string> {
  const program = startProgram(t, {
    argv: [process.execPath, BIN, "account", ...args],
    cwd: ROOT,
    env: { LATCHKEY_STORE: store },
    hasInput: true,
  });
  if (password !== undefined) {
    // It waits for its input, so that it is there to be looked at before and after.
    noteProcess(heap, program.pid);
    program.write(password);
    noteProcess(heap, program.pid);
  }
  program.endInput();
  const { status } = await program.end;
  assert.equal(status, 0, program.output.stderr);
  note(heap, "what account commands say", program.output.stderr);
  return program.output.stdout;
}

function note(heap: Heap, of: string, ...parts: (string | Buffer)[]): void {
  heap.set(of, [...(heap.get(of) ?? []), ...parts.map((part) => Buffer.from(part))]);
}

function noteProcess(heap: Heap, pid: number | undefined): void {
  if (process.platform !== "linux") return;
  for (const file of ["cmdline", "environ"]) {
    note(heap, `the processes' ${file}`, readFileSync(`/proc/${pid}/${file}`));
  }
}

function noteFiles(heap: Heap, path: string): void {
  const folder = dirname(path);
  for (const file of readdirSync(folder)) note(heap, file, readFileSync(join(folder, file)));
}

type Authorizations = readonly (string | undefined)[];

/** What calls did: how many were answered, and the tokens that those answered. */
interface Tally {
  answered: number;
  readonly tokens: string[];
}

async function callRpcs(server: Server, heap: Heap, tally: Tally, headers: Authorizations) {
  for (const name of WIRES) {
    const wire = openWire(name, server);
    const client = wire.client(SessionService);
    for (const authorization of headers) {
      const options = { headers: authorization === undefined ? {} : { authorization } };
      const attempt = async <T>(call: Promise<T>): Promise<T | undefined> => {
        try {
          const answer = await call;
          tally.answered++;
          return answer;
        } catch (error) {
          if (!(error instanceof ConnectError)) throw error;
          const texts = [error.message, ...[...error.metadata].flat()];
          note(heap, "refusals", ...texts, JSON.stringify(error.details));
          return undefined;
        }
      };
      const data = { color: "red" };
      const fields = { app: "shop", userId: "eve", data };
      const created = await attempt(client.createSession(fields, options));
      if (created) tally.tokens.push(created.token);
      const unknown = SECRETS["an unknown token"];
      for (const token of [created?.token ?? unknown, unknown]) {
        await attempt(client.getSession({ app: "shop", token }, options));
        await attempt(client.getSession({ app: "forum", token }, options));
        await attempt(client.getSession({ app: token, token }, options));
        await attempt(client.updateSession({ app: "shop", token, data }, options));
        await attempt(client.listSessions({ app: "shop", pageToken: token }, options));
        const target = { case: "sessionId", value: token } as const;
        await attempt(client.deleteSession({ app: "shop", target }, options));
      }
    }
    wire.close();
  }
}

async function callPaths(
  server: Server,
  heap: Heap,
  tally: Tally,
  headers: Authorizations,
  words: readonly string[],
) {
  const rest = openRest(server.http);
  const json = (content: string): RestBody => ({ content, type: "application/json" });
  const rpc = (name: string) => `/${SessionService.typeName}/${name}`;
  for (const authorization of headers) {
    const others = authorization === undefined ? {} : { authorization };
    const send = async (method: string, path: string, body?: RestBody) => {
      const { status, text, headers } = await rest.call(method, path, body, others);
      if (status === 200) tally.answered++;
      else note(heap, "refusals", text, JSON.stringify(headers));
    };
    await send("GET", "/session");
    await send("GET", "/metrics");
    for (const word of words) {
      const inPath = encodeURIComponent(word);
      await send("GET", `/shop/get/${inPath}`);
      await send("GET", `/forum/get/${inPath}`);
      await send("GET", `/${inPath}/get/${inPath}`);
      await send("GET", `/shop/nothing/${inPath}?access_token=${inPath}`);
      await send("GET", `/shop/get/${inPath}%ZZ`);
      await send("POST", `/shop/set/${inPath}`, json(`{"${word}`));
      await send("POST", rpc("GetSession"), json(JSON.stringify({ app: "shop", [word]: 1 })));
      await send("POST", rpc("GetSession"), json(JSON.stringify({ app: word, token: 1 })));
      await send("POST", rpc("GetSession"), json(JSON.stringify({ token: { a: word } })));
      await send("POST", rpc("GetSession"), json(`{"token":"${word}"`));
      const active = JSON.stringify({ app: "shop", activeWithin: word });
      await send("POST", rpc("CountActiveUsers"), json(active));
    }
  }
  rest.close();
}

async function callCommands(
  server: Server,
  heap: Heap,
  tally: Tally,
  first: readonly [string, ...string[]],
  words: readonly string[],
) {
  const client = speak(await dial(server.command));
  const [command, ...args] = first;
  const frames = words.flatMap((word) => [request(word, word), request("SESSION", word)]);
  client.socket.end(Buffer.concat([request(command, ...args), ...frames, request("SESSION")]));
  for (const { status, result } of await client.rest()) {
    if (status === "Ok") tally.answered++;
    else note(heap, "refusals", result);
  }
}

/** Every secret in its place, and in wrong ones. */
async function callEverything(server: Server, heap: Heap, key: string, revoked: string) {
  const { password, ...others } = SECRETS;
  const tally: Tally = { answered: 0, tokens: [] };
  const words = () => [...Object.values(SECRETS), key, revoked, tally.tokens[0] ?? ""];
  // What is right comes first: after what is wrong, passwords are slowed down.
  const right = [`Bearer ${key}`, basicOf(ACCOUNT, password)];
  await callRpcs(server, heap, tally, right);
  await callPaths(server, heap, tally, right, words());
  await callCommands(server, heap, tally, ["auth", ACCOUNT, password], words());
  const answered = tally.answered;

  const wrong = [
    undefined,
    `Bearer ${revoked}`,
    `Bearer ${others["an unknown key"]}`,
    basicOf(ACCOUNT, others["a wrong password"]),
    basicOf(ACCOUNT, others["a password before"]),
    basicOf(ACCOUNT, key),
    basicOf(key, password),
    basicOf(others["a password before"], ACCOUNT),
    key,
    `Bearer ${key} ${password}`,
    `Digest ${password}`,
  ];
  await callRpcs(server, heap, tally, wrong);
  await callPaths(server, heap, tally, wrong, words());
  for (const first of [
    ["auth", ACCOUNT, others["a wrong password"]],
    ["auth", ACCOUNT, key],
    ["auth", key, password],
    ["auth", password, ACCOUNT],
    ["auth", password],
    [password, key],
  ] satisfies [string, ...string[]][]) {
    await callCommands(server, heap, tally, first, words());
  }
  assert.equal(tally.answered, answered, "a wrong credential was taken for right");
  return tally;
}

test("no log, no refusal, no process list and no file has a password, a key or a token", async (t) => {
  const path = join(await makeFolder(t), "data", "latchkey.db");
  const store = `sqlite:${path}`;
  const heap: Heap = new Map();
  const env = { LATCHKEY_STORE: store, LATCHKEY_AUTH: "required", LATCHKEY_LOG_LEVEL: "trace" };
  const server = await startServer(t, env);
  const account = (args: readonly string[], password?: string) =>
    runAccount(t, store, heap, args, password);
  await account(
    ["add", ACCOUNT, "--apps", "shop", "--password-stdin"],
    SECRETS["a password before"],
  );
  await account(["passwd", ACCOUNT], SECRETS.password);
  const key = (await account(["key", "add", ACCOUNT, "--label", "kept"])).trim();
  const revoked = (await account(["key", "add", ACCOUNT, "--label", "revoked"])).trim();
  await account(["key", "revoke", ACCOUNT, "2"]);
  note(heap, "what account commands say", await account(["list", "--json"]));
  note(heap, "what account commands say", await account(["key", "list", ACCOUNT]));
  await eventually("the server's knowledge of the key", () =>
    server.log().some(({ keyId }) => keyId === 1),
  );

  const { tokens, answered } = await callEverything(server, heap, key, revoked);
  // The calls were what they are meant to be: some were answered, on every wire.
  assert.equal(tokens.length, 2 * WIRES.length);
  assert.ok(answered > 30, `${answered} calls`);
  noteProcess(heap, server.pid);
  noteFiles(heap, path);
  await server.stop();
  noteFiles(heap, path);
  note(heap, "the log", server.output.stdout);
  note(heap, "the server's standard error", server.output.stderr);

  // The search finds what is there.
  const control = foundIn(heap, Buffer.from(ACCOUNT));
  for (const of of ["the log", "latchkey.db", "latchkey.db-wal", "what account commands say"]) {
    assert.ok(control.includes(of), of);
  }
  if (process.platform === "linux") {
    assert.ok(control.includes("the processes' cmdline"));
    assert.ok(foundIn(heap, Buffer.from(store)).includes("the processes' environ"));
  }
  assert.ok(foundIn(heap, Buffer.from("call needs credentials")).includes("refusals"));
  assert.equal(server.output.stderr, "");

  const secrets = { ...SECRETS, key, "a revoked key": revoked };
  const all = [...Object.entries(secrets), ...tokens.map((token) => ["a token", token] as const)];
  for (const [what, secret] of all) {
    for (const form of formsOf(secret))
      assert.deepEqual(foundIn(heap, form), [], `${what}: ${form}`);
  }
});
