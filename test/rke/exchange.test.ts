import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { ExchangeError } from "../../src/domain/rke/key-exchange.js";
import { deriveKey } from "../../src/rke/derivation.js";
import { createKeyExchange, type ShareOutcome } from "../../src/rke/exchange.js";
import { RAIDAS } from "../../src/rke/packet.js";
import { xor } from "../../src/rke/xor.js";
import { type Asked, createWallets, honest, shareOf, startRaidas } from "./raida-servers.js";
import { VECTORS } from "./vectors.js";

const NOW = VECTORS.time * 1000 + 999;
const ALL = 2 ** RAIDAS - 1;

/** Times for servers on loopback. */
const TIMING = { retries: [100, 200], grace: 300, deadline: 600 };
/** For exchanges that end by what is answered: a wait for the deadline would hang the test. */
const PATIENT = { retries: [50, 100, 200, 400, 800], grace: 60_000, deadline: 60_000 };

interface Trial {
  /** The ports of servers that are not where DNS says. */
  readonly ports?: (raida: number) => number | undefined;
  readonly timing?: typeof TIMING;
  readonly required?: number;
  readonly minShareBytes?: number;
}

/** An exchange with servers that behave as told, and what became of it. */
async function exchange(t: TestContext, behave: (asked: Asked) => void, trial: Trial = {}) {
  const started = await startRaidas(t, behave, trial.required);
  const servers = started.servers.map((server) => ({
    ...server,
    port: trial.ports?.(server.raida) ?? server.port,
  }));
  const found = { ...started, servers };
  const { folder, wallet } = createWallets(t);
  const outcomes = new Map<number, ShareOutcome>();
  const dropped = new Map<string, number>();
  const { exchange } = createKeyExchange({
    discovery: { lookUp: async () => found },
    wallets: folder,
    minShareBytes: trial.minShareBytes ?? 16,
    now: () => NOW,
    randomBytes: endingDifferently(),
    random: () => 0.5,
    timing: trial.timing ?? TIMING,
    observer: {
      onShare: (raida, outcome) => outcomes.set(raida, outcome),
      onDropped: (_raida, reason) => dropped.set(reason, (dropped.get(reason) ?? 0) + 1),
    },
  });
  const key = randomBytes(32);
  const run = () => exchange("content.example.com", wallet, key);
  return { run, key, outcomes, dropped };
}

/** Random bytes of which no two end alike, for the two that are echoed could by chance. */
function endingDifferently(): (size: number) => Buffer {
  let count = 0;
  return (size) => {
    count += 1;
    const bytes = randomBytes(size);
    bytes.writeUInt16BE(count, size - 2);
    return bytes;
  };
}

/** The key that the Content Server derives of what it is told. */
function contentServerKey(derived: { raidas: number; clientSerial: string; time: number }): Buffer {
  const clientSerial = Buffer.from(derived.clientSerial, "hex");
  const query = { csId: VECTORS.cs_id, keyId: VECTORS.key_set, clientSerial, time: derived.time };
  const raidas = Array.from({ length: RAIDAS }, (_, raida) => raida).filter(
    (raida) => derived.raidas & (1 << raida),
  );
  const key = Buffer.alloc(32);
  deriveKey(xor(raidas.map((raida) => shareOf(raida, query))), query, key);
  return key;
}

async function assertFails(run: () => Promise<unknown>, key: Buffer, reason: string) {
  let message = "";
  await assert.rejects(run, (error) => {
    assert.ok(error instanceof ExchangeError, String(error));
    assert.equal(error.reason, reason);
    message = error.message;
    return true;
  });
  assert.deepEqual(key, Buffer.alloc(32), "the key stays zeroed");
  return message;
}

test("where all servers answer, the key is of all shares and the Content Server's own", async (t) => {
  const { run, key, outcomes } = await exchange(t, honest, { timing: PATIENT });
  const derived = await run();
  assert.equal(derived.raidas, ALL);
  assert.equal(derived.csId, VECTORS.cs_id);
  assert.equal(derived.keyId, VECTORS.key_set);
  assert.equal(derived.time, VECTORS.time);
  assert.deepEqual(key, contentServerKey(derived));
  assert.deepEqual(new Set(outcomes.values()), new Set(["accepted"]));
  assert.equal(outcomes.size, RAIDAS);
});

test("all servers of an exchange are asked the same, and those of another something else", async (t) => {
  const asked: Asked["query"][] = [];
  const { run } = await exchange(
    t,
    (request) => {
      asked.push(request.query);
      honest(request);
    },
    { timing: PATIENT },
  );
  await run();
  await run();
  const serials = asked.map(({ clientSerial }) => clientSerial.toString("hex"));
  assert.equal(new Set(serials.slice(0, RAIDAS)).size, 1);
  assert.equal(new Set(serials).size, 2);
});

test("with 12 of 25 servers silent the exchange succeeds with the other 13", async (t) => {
  const { run, key, outcomes } = await exchange(t, (asked) => asked.raida >= 12 && honest(asked));
  const derived = await run();
  assert.equal(derived.raidas, ALL & ~0xfff);
  assert.deepEqual(key, contentServerKey(derived));
  assert.equal(outcomes.get(0), "missing");
});

test("servers that cannot be reached are as those that are silent", async (t) => {
  const gone = createSocket("udp4").bind(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address();
  gone.close();
  const { run } = await exchange(t, honest, {
    ports: (raida) => (raida < 12 ? port : undefined),
  });
  assert.equal((await run()).raidas, ALL & ~0xfff);
});

test("with 13 of 25 servers silent it fails and says how many of how many", async (t) => {
  const { run, key } = await exchange(t, (asked) => asked.raida >= 13 && honest(asked));
  const message = await assertFails(run, key, "too_few_shares");
  assert.match(message, /12 of 25 RAIDA servers gave a share; 13 are required/);
});

test("a server that misses the first requests is asked again", async (t) => {
  const { run } = await exchange(t, (asked) => asked.count >= 3 && honest(asked), {
    timing: PATIENT,
  });
  assert.equal((await run()).raidas, ALL);
});

test("enough shares are waited on no longer than the grace", async (t) => {
  const { run } = await exchange(t, (asked) => asked.raida > 0 && honest(asked), {
    timing: { retries: [], grace: 50, deadline: 3_600_000 },
  });
  assert.equal((await run()).raidas, ALL & ~1);
});

test("an answer within the grace takes part", async (t) => {
  // RAIDA 0 answers the second request, which comes when the others have long answered.
  const { run } = await exchange(
    t,
    (asked) => (asked.raida > 0 || asked.count > 1) && honest(asked),
    {
      timing: { ...PATIENT, retries: [200] },
    },
  );
  assert.equal((await run()).raidas, ALL);
});

test("corrupted answers are ignored, each bit of them, and the right one is taken", async (t) => {
  const { run, key, dropped } = await exchange(
    t,
    (asked) => {
      const right = asked.answer();
      for (let at = 0; at < right.length; at += 1) {
        // Neither these bytes nor a changed counter block can be told from right ones.
        if ([1, 4, 5, 6, 7, 8].includes(at) || (at >= 12 && at < 16) || (at >= 22 && at < 46))
          continue;
        const wrong = Buffer.from(right);
        wrong[at] = (wrong[at] ?? 0) ^ (1 << (at % 8));
        asked.send(wrong);
      }
      asked.send(right.subarray(0, -1));
      asked.send(Buffer.concat([right, Buffer.of(0)]));
      asked.send(right);
    },
    { timing: PATIENT },
  );
  const derived = await run();
  assert.equal(derived.raidas, ALL);
  assert.deepEqual(key, contentServerKey(derived));
  for (const reason of ["malformed", "mismatch", "refused", "bad_mac"]) {
    assert.ok((dropped.get(reason) ?? 0) >= RAIDAS, reason);
  }
});

test("a wrong echo, coin, number or status is ignored though its MAC is right", async (t) => {
  const { run, dropped } = await exchange(t, (asked) => {
    const coin = { denomination: 0, serialNumber: 1 };
    asked.send(asked.answer({ echo: Buffer.alloc(2) }));
    asked.send(asked.answer({ coin }));
    asked.send(asked.answer({ raida: (asked.raida + 1) % RAIDAS }));
    asked.send(asked.answer({ status: 204 }, null));
    asked.send(asked.answer({ status: 204 }));
    if (asked.raida >= 12) honest(asked);
  });
  assert.equal((await run()).raidas, ALL & ~0xfff);
  // RAIDA 0 to 11 were sent nothing else, three times each.
  assert.ok((dropped.get("mismatch") ?? 0) >= 12 * 9);
  assert.ok((dropped.get("refused") ?? 0) >= 12 * 6);
});

test("answers of an earlier exchange count for nothing", async (t) => {
  const earlier = new Map<number, Buffer>();
  let isSecond = false;
  const { run, key } = await exchange(t, (asked) => {
    const old = earlier.get(asked.raida);
    if (isSecond && old) asked.send(old);
    else earlier.set(asked.raida, asked.answer());
    if (!isSecond || asked.raida >= 12) honest(asked);
  });
  await run();
  isSecond = true;
  const derived = await run();
  assert.equal(derived.raidas, ALL & ~0xfff);
  assert.deepEqual(key, contentServerKey(derived));
});

test("answers from another address than was asked are ignored, right though they are", async (t) => {
  const other = createSocket("udp4");
  t.after(() => other.close());
  const { run } = await exchange(t, (asked) => {
    if (asked.raida >= 12) honest(asked);
    else other.send(asked.answer(), asked.source.port, asked.source.address);
  });
  assert.equal((await run()).raidas, ALL & ~0xfff);
});

test("a flood of forged answers from the servers' own addresses stops no exchange", async (t) => {
  const total = 100_000;
  const { run, key, dropped } = await exchange(
    t,
    (asked) => {
      const forged = asked.answer();
      forged.fill(randomBytes(1), 48, forged.length - 2);
      const flood = (left: number) => {
        for (let count = 0; count < 20; count += 1) asked.send(forged);
        if (left > 20) setImmediate(flood, left - 20);
        else honest(asked);
      };
      if (asked.count === 1) flood(total / RAIDAS);
      else honest(asked);
    },
    { timing: { ...PATIENT, retries: [3_000, 6_000] } },
  );
  const derived = await run();
  assert.equal(derived.raidas, ALL);
  assert.deepEqual(key, contentServerKey(derived));
  assert.ok((dropped.get("bad_mac") ?? 0) > total / 100);
});

test("short shares are refused by name", async (t) => {
  const { run, key, outcomes } = await exchange(
    t,
    (asked) => asked.send(asked.answer({}, shareOf(asked.raida, asked.query, 1))),
    { timing: PATIENT },
  );
  const message = await assertFails(run, key, "share_too_short");
  assert.match(message, /25 of 25 RAIDA servers gave a share of at most 1 bytes.* 16 bytes/);
  assert.equal(outcomes.get(0), "too_short");
});

test("short shares of some leave the key to the others", async (t) => {
  const { run, key } = await exchange(
    t,
    (asked) => {
      const length = asked.raida < 12 ? 15 : 32;
      asked.send(asked.answer({}, shareOf(asked.raida, asked.query, length)));
    },
    { timing: PATIENT },
  );
  const derived = await run();
  assert.equal(derived.raidas, ALL & ~0xfff);
  assert.deepEqual(key, contentServerKey(derived));
});

test("a few short shares among much silence are too few shares", async (t) => {
  const { run, key } = await exchange(t, (asked) => {
    if (asked.raida < 3) asked.send(asked.answer({}, Buffer.alloc(1)));
  });
  await assertFails(run, key, "too_few_shares");
});

test("a share of another length than most takes no part", async (t) => {
  const { run, key, outcomes } = await exchange(
    t,
    (asked) =>
      asked.send(asked.answer({}, shareOf(asked.raida, asked.query, asked.raida ? 32 : 64))),
    { timing: PATIENT },
  );
  const derived = await run();
  assert.equal(derived.raidas, ALL & ~1);
  assert.deepEqual(key, contentServerKey(derived));
  assert.equal(outcomes.get(0), "odd_length");
});

test("shares as short as the least length allows are taken", async (t) => {
  const { run } = await exchange(
    t,
    (asked) => asked.send(asked.answer({}, shareOf(asked.raida, asked.query, 16))),
    { timing: PATIENT },
  );
  assert.equal((await run()).raidas, ALL);
});

test("a refused wallet fails the exchange before any server is asked", async (t) => {
  let requests = 0;
  const found = await startRaidas(t, () => {
    requests += 1;
  });
  const { exchange } = createKeyExchange({
    discovery: { lookUp: async () => found },
    wallets: null,
    minShareBytes: 16,
    now: () => NOW,
    randomBytes,
    random: Math.random,
  });
  const key = randomBytes(32);
  await assertFails(() => exchange("content.example.com", "/tmp", key), key, "wallet_refused");
  assert.equal(requests, 0);
});
