import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { makeFolder, runLatchkey, type Server, startServer } from "../../support/process/server.js";

/** MiB by which the server may grow, however many calls bring however long a list of headers. */
const MOST = 64;

/** Calls of one attack, by connections that begin so many at a time. */
const CONNECTIONS = 16;
const CALLS = 256;
const AT_A_TIME = 32;

/** An entry that HPACK keeps in the table of a connection, so that one byte names it again. */
const ENTRY = "a".repeat(2_990);
/** How often a call names it: its header list has nearly 64 KiB. */
const TIMES = 20;

const GET = "/latchkey.session.v1.SessionService/GetSession";
const WATCH = "/latchkey.session.v1.SessionService/WatchSessions";
const ENCRYPT = "/latchkey.rke.v1.RkeService/EncryptStream";
const HEALTH = "/grpc.health.v1.Health/Check";

type Headers = Readonly<Record<string, string | string[]>>;

/** MiB of the server's that are or were in memory at the most. */
function peakOf({ pid }: Server): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1] ?? assert.fail("no VmHWM")) / 1024;
}

async function open(address: string): Promise<ClientHttp2Session> {
  const session = connect(`http://${address}`, { maxSessionMemory: 4_096 });
  session.on("error", () => {});
  await once(session, "remoteSettings");
  return session;
}

/** Settles when the server has seen all that was sent, or has ended the connection. */
const seen = (session: ClientHttp2Session) =>
  new Promise<void>((resolve) => {
    if (session.destroyed) return resolve();
    session.once("close", resolve);
    session.ping(() => resolve());
  });

/**
 * Begins calls that never send a message, if not this one, on connections of their own; answers their
 * statuses.
 */
async function attack({ grpc }: Server, path: string, headers: Headers, message?: Buffer) {
  const statuses = new Map<number, number>();
  const sessions = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(grpc)));
  const begin = (session: ClientHttp2Session) => {
    if (session.destroyed) return;
    const stream = session.request(
      { ":method": "POST", ":path": path, "content-type": "application/grpc", ...headers },
      { endStream: false },
    );
    stream.on("error", () => {}).resume();
    if (message) stream.end(message);
    stream.on("response", ({ "grpc-status": code }) => {
      if (code !== undefined) statuses.set(Number(code), (statuses.get(Number(code)) ?? 0) + 1);
    });
  };
  for (let begun = 0; begun < CALLS; begun += AT_A_TIME) {
    await Promise.all(
      sessions.map((session) => {
        for (let call = 0; call < AT_A_TIME; call++) begin(session);
        return seen(session);
      }),
    );
  }
  for (const session of sessions) session.destroy();
  return statuses;
}

async function startGuarded(t: Parameters<typeof startServer>[0]) {
  const env = {
    LATCHKEY_AUTH: "required",
    LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}`,
  };
  await runLatchkey(t, ["account", "add", "ann", "--apps", "shop", "--rke"], env);
  const added = await runLatchkey(t, ["account", "key", "add", "ann", "--label", "test"], env);
  return { server: await startServer(t, env), authorization: `Bearer ${added.stdout.trim()}` };
}

const skip = process.platform === "linux" ? false : "the system tells of no peak of memory";

const bomb = (name: string): Headers => ({ [name]: Array<string>(TIMES).fill(ENTRY) });

/** Who attacks what, by which header, and with how many the calls are refused. */
const ATTACKS = [
  ["a known User's calls", GET, bomb("x-bomb"), true],
  ["a known User's calls with binary headers", GET, bomb("x-bomb-bin"), true],
  ["a known User's watches", WATCH, bomb("cookie"), true],
  ["a known User's streams", ENCRYPT, bomb("x-bomb"), true],
  ["strangers' calls", GET, bomb("x-bomb"), false],
  ["strangers' calls of health", HEALTH, bomb("x-bomb"), false],
] as const;

for (const [what, path, headers, isKnown] of ATTACKS) {
  test(`header lists that repeat an entry of the table take at most ${MOST} MiB: ${what}`, {
    skip,
  }, async (t) => {
    const { server, authorization } = await startGuarded(t);
    // So many calls take memory by themselves, of which the collector leaves a part.
    for (let round = 0; round < 3; round++) {
      await attack(server, GET, { authorization }, Buffer.alloc(5));
    }
    const before = peakOf(server);
    // What the first takes is given back, or the next ones would add to it.
    for (let round = 0; round < 3; round++) {
      const statuses = await attack(
        server,
        path,
        isKnown ? { ...headers, authorization } : headers,
      );
      const refused = isKnown ? status.RESOURCE_EXHAUSTED : status.UNAUTHENTICATED;
      if (path !== HEALTH)
        assert.ok((statuses.get(refused) ?? 0) > 0, JSON.stringify([...statuses]));
    }
    const growth = peakOf(server) - before;
    t.diagnostic(`it grew by ${growth.toFixed()} MiB`);
    assert.ok(growth < MOST, `it grew by ${growth.toFixed()} MiB`);
  });
}
