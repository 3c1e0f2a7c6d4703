import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { hash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { DerivedKey } from "../../src/domain/rke/key-exchange.js";
import { deriveShare } from "../../src/rke/derivation.js";
import type { Devnet, DevnetOptions } from "../../src/rke/devnet/devnet.js";
import type { Fault } from "../../src/rke/devnet/fault.js";
import { eventually } from "../support/eventually.js";
import { startProgram } from "../support/process/program.js";
import { BIN, FREE_PORTS, ROOT, serverOf } from "../support/process/server.js";
import { openDevnet } from "./devnet-trial.js";
import type { Form, ScanAnswer, ScanRequest } from "./memory-scanner.js";

/*
 * Latchkey runs as it is shipped, in a process of its own, against a devnet in this one. A third
 * process looks into Latchkey's memory for what this one derived; Latchkey is never told it.
 */

const DOMAIN = "devnet.test";
const KEY_SET = {
  keyId: 1,
  csId: "DEVNET",
  secrets: Array.from({ length: 25 }, () => randomBytes(32)),
};
const NONE = { whole: 0, piece: 0, hex: 0, base64: 0 };
const COIN = { denomination: 0, serialNumber: 1, ans: randomBytes(25 * 16) };
/** So many keys, each in one place, and nothing else of them anywhere. */
const only = (keys: number) => ({ ...NONE, whole: keys, piece: 2 * keys });
/** Real milliseconds after which a key that should go is taken to stay. */
const PATIENCE = 20_000;

type Hits = Readonly<Record<Form, number>>;

const problem = reasonToSkip();

// They mostly wait. More at a time would leave a small machine too slow for the exchange's deadline.
describe("keys in memory", { concurrency: 4, skip: problem }, () => {
  test("keys of expired sessions, and kept ones that expired, go without being asked for", async (t) => {
    // The shortest life that a session may have.
    const env = { LATCHKEY_RKE_SESSION_TTL: "10", LATCHKEY_RKE_KEY_CACHE_TTL: "4" };
    const { scan, create } = await stage(t, env);
    const { key } = await create();
    assert.deepEqual(await scan(key), only(2));
    const counts = [];
    const end = performance.now() + PATIENCE;
    for (let keys = 2; keys > 0 && performance.now() < end; await sleep(1_000)) {
      const hits = await scan(key);
      assert.deepEqual(hits, only(hits.whole));
      if (hits.whole !== keys) counts.push(hits.whole);
      keys = hits.whole;
    }
    assert.deepEqual(counts, [1, 0]);
  });

  test("of an exchange that failed, nothing is left", async (t) => {
    const faults = new Map<number, Fault>([[0, { kind: "lose", amount: 0 }]]);
    // Half a share: of one that lacks a byte, the byte may follow by chance.
    for (let raida = 1; raida <= 12; raida++)
      faults.set(raida, { kind: "short-share", amount: 16 });
    const { devnet, scan, call } = await stage(
      t,
      { LATCHKEY_RKE_MIN_SHARE_BYTES: "32" },
      { faults },
    );
    const failure = assert.rejects(
      call("CreateSession", { domain: DOMAIN, walletPath: devnet.wallet }),
      /share_too_short/,
    );
    // While it waits for the silent one it has the shares of the others, of which 12 are half.
    const expected = { ...NONE, whole: 12 + 25, piece: 12 * 2 + 12 + 25 * 2 };
    await eventually("twelve shares", () => devnet.exchanges()[0]?.raidas.length === 12);
    let live: Hits = NONE;
    for (let scans = 0; scans < 10 && !isDeepStrictEqual(live, expected); scans++) {
      // An answer that is being decrypted has its key in the cipher too, and its share not yet.
      live = await scan(...sharesOf(devnet), ...requestKeys());
    }
    assert.deepEqual(live, expected);
    await failure;
    assert.deepEqual(await scan(...sharesOf(devnet), ...requestKeys(), ...numbersOfCoin()), NONE);
  });

  test("of an exchange that a stop found under way, nothing is left", async (t) => {
    const faults = new Map<number, Fault>([[0, { kind: "lose", amount: 0 }]]);
    const { devnet, program, scan, create } = await stage(t, {}, { faults });
    const created = create();
    await eventually("all other shares", () => devnet.exchanges()[0]?.raidas.length === 24);
    program.signal("SIGTERM");
    const { key } = await created;
    await eventually("the pause at the exit", () => isPaused(program.pid));
    assert.deepEqual(await scan(key, ...sharesOf(devnet), ...requestKeys()), NONE);
  });

  test("a session's key is in one place, whatever it is used for, and nowhere after its deletion", async (t) => {
    const { scan, create, call } = await stage(t, { LATCHKEY_RKE_KEY_CACHE_TTL: "0" });
    const { id: sessionId, key } = await create();
    assert.deepEqual(await scan(key), only(1));
    for (const cipher of ["CIPHER_AES_256_GCM", "CIPHER_AES_256_CTR"]) {
      for (let round = 0; round < 10; round++) {
        const items = Array(10).fill({ plaintext: randomBytes(100).toString("base64") });
        const { results } = await call("Encrypt", { sessionId, cipher, items });
        const encrypted = (results as { encrypted: object }[]).map((result) => result.encrypted);
        // Of GCM the last is a forgery, which fails.
        const altered = { ...encrypted[9], ciphertext: randomBytes(116).toString("base64") };
        const given = [...encrypted.slice(0, 9), altered];
        await call("Decrypt", { sessionId, cipher, items: given });
      }
    }
    assert.deepEqual(await scan(key), only(1));
    await call("DeleteSession", { sessionId });
    assert.deepEqual(await scan(key), NONE);
  });

  test("the key that is kept for a domain is nowhere once it is forgotten", async (t) => {
    const { scan, create, call } = await stage(t);
    const { id: sessionId, key } = await create();
    const { id: other } = await create();
    assert.deepEqual(await scan(key), only(3));
    await call("DeleteSession", { sessionId });
    assert.deepEqual(await scan(key), only(2));
    await call("DeleteSession", { sessionId: other, forgetKey: true });
    assert.deepEqual(await scan(key), NONE);
  });

  test("a kept key that makes room for another's goes", async (t) => {
    const { devnet, scan, create, call } = await stage(t, { LATCHKEY_RKE_MAX_SESSIONS: "1" });
    const records = devnet.zone.get(`_rke._udp.${DOMAIN}`);
    devnet.zone.set("_rke._udp.other.test", records ?? {});
    const { id: sessionId, key } = await create();
    await call("DeleteSession", { sessionId });
    assert.deepEqual(await scan(key), only(1));
    const { key: otherKey } = await create("other.test");
    assert.deepEqual(await scan(otherKey), only(2));
    assert.deepEqual(await scan(key), NONE);
  });

  test("of an exchange that succeeded, its key alone is left", async (t) => {
    const { devnet, scan, create } = await stage(t);
    const { key } = await create();
    assert.deepEqual(await scan(key), only(2));
    assert.deepEqual(await scan(...sharesOf(devnet), ...requestKeys(), ...numbersOfCoin()), NONE);
  });

  test("of shares so long that nothing soon takes the place of what was freed, nothing is left", async (t) => {
    const shareBytes = 1_024;
    const { devnet, scan, create } = await stage(t, {}, { shareBytes });
    await create();
    const parts = sharesOf(devnet, shareBytes).flatMap((share) =>
      Array.from({ length: shareBytes / 32 }, (_, at) => share.subarray(32 * at, 32 * at + 32)),
    );
    assert.deepEqual(await scan(...parts), NONE);
  });

  test("a stop leaves no key in the process that ends", async (t) => {
    const { program, scan, create } = await stage(t);
    const { key } = await create();
    assert.deepEqual(await scan(key), only(2));
    program.signal("SIGTERM");
    await eventually("the pause at the exit", () => isPaused(program.pid));
    assert.deepEqual(await scan(key), NONE);
    program.signal("SIGCONT");
    assert.deepEqual(await program.end, { status: 0, signal: null });
    assert.match(program.output.stdout, /"msg":"stopped"/);
  });
});

/** The shares of the last exchange, whether or not they were given in full. */
function sharesOf(devnet: Devnet, length = 32): Buffer[] {
  const [exchange] = devnet.exchanges();
  assert.ok(exchange);
  const clientSerial = Buffer.from(exchange.clientSerial, "hex");
  const query = { ...exchange, clientSerial };
  return KEY_SET.secrets.map((secret) => deriveShare(secret, query, length));
}

function numbersOfCoin(): Buffer[] {
  return Array.from({ length: 25 }, (_, raida) => COIN.ans.subarray(16 * raida, 16 * raida + 16));
}

/** The keys that requests and answers are encrypted and proved with. */
function requestKeys(): Buffer[] {
  return numbersOfCoin().map((number) => hash("sha256", number, "buffer"));
}

/** Why no memory can be scanned here; CI must be able to. */
function reasonToSkip(): string | false {
  if (process.env["CI"]) return false;
  const look = `require("node:fs").openSync("/proc/${process.pid}/mem")`;
  const { status, stderr } = spawnSync(process.execPath, ["-e", look], { encoding: "utf8" });
  const [reason = "it failed"] = /^Error: .*/m.exec(stderr) ?? [];
  return status !== 0 && `no process may read another's memory here: ${reason}`;
}

/** Whether a signal stopped the process: proc(5), the state after its name. */
function isPaused(pid = 0): boolean {
  return readFileSync(`/proc/${pid}/stat`, "utf8").includes(") T ");
}

/** Has the process stop as it exits, so that it can be looked at. */
const STOP_AT_EXIT = `data:text/javascript,${encodeURIComponent(
  'process.on("exit", () => process.kill(process.pid, "SIGSTOP"));',
)}`;

/** Latchkey with a devnet, and a scanner of its memory. */
async function stage(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
  options: Partial<DevnetOptions> = {},
) {
  const defaults = { domain: DOMAIN, keySets: [KEY_SET], coin: COIN };
  const devnet = await openDevnet(t, { ...defaults, ...options });
  const env = { ...FREE_PORTS, LATCHKEY_STORE: "memory:", ...devnet.env, ...settings };
  const argv = [process.execPath, "--import", STOP_AT_EXIT, BIN, "serve"] as const;
  const program = startProgram(t, { argv: [...argv], cwd: ROOT, env });
  const { http, pid } = await serverOf(program, env);

  const call = async (rpc: string, request: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`http://${http}/latchkey.rke.v1.RkeService/${rpc}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as Record<string, unknown>;
  };

  const scan = openScanner(t, pid);
  // It is ready then, and finds nothing where nothing is.
  assert.deepEqual(await scan(randomBytes(32)), NONE);
  return {
    devnet,
    program,
    call,
    scan,
    /** A new session, and its key as the Content Server derives it. */
    async create(domain = DOMAIN): Promise<{ id: string; key: Buffer }> {
      const { session } = await call("CreateSession", { domain, walletPath: devnet.wallet });
      const { sessionId: id, keyDerivation } = session as {
        sessionId: string;
        keyDerivation: { raidas: number; clientSerial: string; time: string };
      };
      const { raidas, clientSerial, time } = keyDerivation;
      const derived: DerivedKey = {
        ...KEY_SET,
        raidas,
        clientSerial,
        time: Date.parse(time) / 1000,
      };
      return { id, key: devnet.contentServer.derive(derived) };
    },
  };
}

/** What looks for secrets in that process's memory. */
function openScanner(t: TestContext, pid = 0): (...secrets: Buffer[]) => Promise<Hits> {
  const argv = [process.execPath, "--import", "tsx", "test/rke/memory-scanner.ts"] as const;
  const scanner = startProgram(t, { argv: [...argv], cwd: ROOT, env: {}, hasInput: true });
  let answers = 0;
  return async (...secrets) => {
    const mask = randomBytes(32);
    const masked = secrets.map((secret) =>
      Buffer.from(secret.map((byte, at) => byte ^ (mask[at] ?? 0))).toString("base64"),
    );
    const request: ScanRequest = { pid, mask: mask.toString("base64"), masked };
    const at = answers++;
    scanner.write(`${JSON.stringify(request)}\n`);
    const line = await scanner.waitFor(() => scanner.output.stdout.split("\n").slice(0, -1)[at]);
    const answer = JSON.parse(line) as ScanAnswer;
    if ("problem" in answer) throw new Error(`the scanner cannot scan: ${answer.problem}`);
    return answer.hits;
  };
}
