import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { ExchangeError } from "../../src/domain/rke/key-exchange.js";
import type { Devnet } from "../../src/rke/devnet/devnet.js";
import { parseFaults } from "../../src/rke/devnet/fault.js";
import { createDiscovery } from "../../src/rke/discovery.js";
import { createKeyExchange } from "../../src/rke/exchange.js";
import { openDevnet } from "./devnet-trial.js";

/** Every server after the twelfth is as it should be. */
const TWELVE_FAULTS =
  "0=lose,1=corrupt,2=forge,3=refuse,4=wrong-echo,5=wrong-source,6=replay,7=short-share,8=cut:9,9=lose,10=forge,11=corrupt";

/** The client that Latchkey is, with the settings that the devnet names and a deadline (ms). */
function clientOf({ env }: Devnet, deadline = 30_000) {
  return createKeyExchange({
    discovery: createDiscovery({
      resolvers: [env.LATCHKEY_RKE_RESOLVERS],
      raidaNumbers: null,
      deadline: 5_000,
      random: Math.random,
      onSkipped: (_, line) => assert.fail(line),
    }),
    wallets: env.LATCHKEY_RKE_WALLETS,
    minShareBytes: 16,
    now: Date.now,
    randomBytes,
    random: Math.random,
    // A busy machine loses datagrams and is late: asked again often, and waited for.
    timing: { retries: [100, 200, 500, 1_000, 2_000, 5_000], grace: 2_000, deadline },
  });
}

async function exchange(t: TestContext, faults = "", deadline = 30_000) {
  const devnet = await openDevnet(t, faults === "" ? {} : { faults: parseFaults(faults) });
  const key = Buffer.alloc(32);
  const run = () => clientOf(devnet, deadline).exchange("devnet.test", devnet.wallet, key);
  return { devnet, key, run };
}

test("a client that has the devnet's settings alone agrees with its Content Server on a key", async (t) => {
  const { devnet, key, run } = await exchange(t);
  const { targetHost, targetPort, keySets } = await clientOf(devnet).discover("devnet.test");
  assert.deepEqual([`127.0.0.1:${targetPort}`, targetHost], [devnet.content, "cs.devnet.test"]);
  assert.deepEqual(keySets, [{ keyId: 1, csId: "DEVNET", serverCount: 25 }]);
  const derived = await run();
  assert.equal(derived.raidas, 2 ** 25 - 1);
  assert.deepEqual(devnet.contentServer.derive(derived), key);
  assert.notDeepEqual(key, Buffer.alloc(32));
});

test("twelve faults of every kind leave the key to the other RAIDA servers", async (t) => {
  const { devnet, key, run } = await exchange(t, TWELVE_FAULTS);
  const derived = await run();
  assert.equal(derived.raidas, 2 ** 25 - 2 ** 12);
  assert.deepEqual(devnet.contentServer.derive(derived), key);
  // What the servers saw is what the client counted.
  const [{ raidas = [], ...told } = {}] = devnet.exchanges();
  assert.deepEqual(
    raidas.toSorted((a, b) => a - b),
    [...Array(25).keys()].slice(12),
  );
  const { raidas: _, ...expected } = derived;
  assert.deepEqual(told, expected);
});

test("thirteen RAIDA servers that give no share are one too many", async (t) => {
  const { key, run } = await exchange(t, `${TWELVE_FAULTS},7=lose,12=lose`, 1_000);
  await assert.rejects(run, (error) => {
    return error instanceof ExchangeError && error.reason === "too_few_shares";
  });
  assert.deepEqual(key, Buffer.alloc(32));
});

test("a flood before every answer does not keep the client from them", async (t) => {
  const floods = Array.from({ length: 25 }, (_, raida) => `${raida}=flood:200`).join(",");
  const { devnet, key, run } = await exchange(t, floods);
  assert.deepEqual(devnet.contentServer.derive(await run()), key);
});

test("a devnet of short shares is refused by name", async (t) => {
  const devnet = await openDevnet(t, { shareBytes: 1 });
  await assert.rejects(
    clientOf(devnet).exchange("devnet.test", devnet.wallet, Buffer.alloc(32)),
    (error) => error instanceof ExchangeError && error.reason === "share_too_short",
  );
});
