import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { parseFault } from "../../src/rke/devnet/fault.js";
import {
  COIN,
  keyOf,
  newQuery,
  openClient,
  openDevnet,
  rejectionOf,
  shareOf,
} from "./devnet-trial.js";
import { hex, VECTORS } from "./vectors.js";

/** The Content Server, coin and query of the known answers. */
const KNOWN = {
  keySets: [
    { keyId: VECTORS.key_set, csId: VECTORS.cs_id, secrets: VECTORS.raida_secrets.map(hex) },
  ],
  coin: {
    denomination: VECTORS.coin.denomination,
    serialNumber: VECTORS.coin.serial_number,
    ans: Buffer.concat(VECTORS.coin.ans.map(hex)),
  },
  query: {
    csId: VECTORS.cs_id,
    keyId: VECTORS.key_set,
    clientSerial: hex(VECTORS.client_serial),
    time: VECTORS.time,
  },
};

test("25 RAIDA servers give the known shares, and the Content Server derives the known keys", async (t) => {
  const { keySets, coin, query } = KNOWN;
  const devnet = await openDevnet(t, { keySets, coin });
  const shares = await Promise.all(
    devnet.raidas.map(async (_, raida) => {
      const client = await openClient(t, devnet, raida, coin);
      client.ask(query);
      return shareOf(await client.next()).toString("hex");
    }),
  );
  assert.deepEqual(shares, VECTORS.shares);
  for (const { bitmap, key } of VECTORS.keys) {
    assert.equal(devnet.contentServer.derive(keyOf(query, bitmap)).toString("hex"), key);
  }
  const [exchange] = devnet.exchanges();
  assert.deepEqual(
    exchange?.raidas.toSorted((a, b) => a - b),
    [...Array(25).keys()],
  );
});

test("the known requests are answered as the known responses are, but for what is random", async (t) => {
  const { keySets, coin } = KNOWN;
  // The nonce of the known response, for each RAIDA that has one.
  for (const { raida, nonce, request, response_nonce, response } of VECTORS.packets) {
    const known = (size: number) => (size === 22 ? hex(response_nonce) : randomBytes(size));
    const devnet = await openDevnet(t, { keySets, coin, random: known });
    const client = await openClient(t, devnet, raida, coin);
    const sent = client.ask(KNOWN.query, { header: { nonce: hex(nonce) } });
    assert.equal(sent.toString("hex"), request);
    const { bytes } = await client.next();
    // The execution time is the server's own.
    const expected = hex(response).fill(0, 4, 8);
    assert.equal(bytes.fill(0, 4, 8).toString("hex"), expected.toString("hex"));
  }
});

test("a wrong coin, key, Content Server or key set is refused, and is no exchange", async (t) => {
  const devnet = await openDevnet(t);
  const client = await openClient(t, devnet, 4);
  const statusOf = async (...request: Parameters<typeof client.ask>) => {
    client.ask(...request);
    const datagram = await client.next();
    assert.equal(rejectionOf(datagram), "refused");
    return datagram.bytes[2];
  };
  assert.equal(await statusOf(newQuery(), { key: randomBytes(32) }), 204);
  const unknown = await statusOf(newQuery(), {
    header: { coin: { denomination: COIN.denomination, serialNumber: 1 } },
  });
  assert.notEqual(unknown, 250);
  assert.notEqual(await statusOf(newQuery({ csId: "ANOTHER" })), 250);
  assert.notEqual(await statusOf(newQuery({ keyId: 2 })), 250);
  assert.deepEqual(devnet.exchanges(), []);
});

test("what is no request for this server is dropped", async (t) => {
  const devnet = await openDevnet(t);
  const client = await openClient(t, devnet, 4);
  client.send(Buffer.alloc(0));
  client.send(randomBytes(114));
  client.ask(newQuery(), { header: { raida: 5 } });
  client.ask(newQuery());
  // The first answer is the one to the last request: nothing came before it.
  assert.equal(rejectionOf(await client.next()), "none");
});

for (const [fault, rejection] of [
  ["corrupt", "bad_mac"],
  ["forge", "bad_mac"],
  ["refuse", "refused"],
  ["refuse:77", "refused"],
  ["wrong-echo", "mismatch"],
  ["cut", "malformed"],
  ["cut:40", "malformed"],
] as const) {
  test(`with the fault ${fault} an answer is ${rejection}, and the next one right without it`, async (t) => {
    const devnet = await openDevnet(t, { faults: new Map([[4, parseFault(fault)]]) });
    const client = await openClient(t, devnet, 4);
    // Several, because some faults draw lots.
    for (let count = 0; count < 20; count++) {
      client.ask(newQuery());
      const datagram = await client.next();
      assert.equal(rejectionOf(datagram), rejection);
      if (fault === "refuse:77") assert.equal(datagram.bytes[2], 77);
    }
    assert.deepEqual(devnet.exchanges(), []);
    devnet.setFault(4, null);
    client.ask(newQuery());
    assert.equal(shareOf(await client.next()).length, 32);
    assert.deepEqual(devnet.exchanges()[0]?.raidas, [4]);
  });
}

test("a fault is of one RAIDA server alone", async (t) => {
  const devnet = await openDevnet(t, { faults: new Map([[4, parseFault("forge")]]) });
  const query = newQuery();
  for (const [raida, rejection] of [
    [3, "none"],
    [4, "bad_mac"],
    [5, "none"],
  ] as const) {
    const client = await openClient(t, devnet, raida);
    client.ask(query);
    assert.equal(rejectionOf(await client.next()), rejection);
  }
  assert.deepEqual(devnet.exchanges()[0]?.raidas, [3, 5]);
});

test("an answer that is lost never comes", async (t) => {
  const devnet = await openDevnet(t, { faults: new Map([[4, parseFault("lose")]]) });
  const client = await openClient(t, devnet, 4);
  client.ask(newQuery());
  // One socket's datagrams are read in their order, so the first was dealt with before this one.
  client.ask(newQuery(), { key: randomBytes(32) });
  assert.equal((await client.next()).bytes[2], 204);
  assert.deepEqual(devnet.exchanges(), []);
});

test("an answer that is delayed comes after others, and counts from then on", async (t) => {
  const devnet = await openDevnet(t, { faults: new Map([[4, parseFault("delay:500")]]) });
  const client = await openClient(t, devnet, 4);
  const query = newQuery();
  client.ask(query);
  client.ask(query, { key: randomBytes(32) });
  assert.equal((await client.next()).bytes[2], 204);
  assert.deepEqual(devnet.exchanges(), []);
  // Not to the last request, but to the one before it.
  assert.equal(rejectionOf(await client.next()), "mismatch");
  assert.deepEqual(devnet.exchanges()[0]?.raidas, [4]);
});

test("an answer from another port is right in itself", async (t) => {
  const devnet = await openDevnet(t, { faults: new Map([[4, parseFault("wrong-source")]]) });
  const client = await openClient(t, devnet, 4);
  client.ask(newQuery());
  const datagram = await client.next();
  assert.equal(rejectionOf(datagram), "none");
  assert.notEqual(datagram.from, devnet.raidas[4]);
  assert.deepEqual(devnet.exchanges(), []);
});

test("a replayed answer is the one to the first request, which has none itself", async (t) => {
  const devnet = await openDevnet(t, { faults: new Map([[4, parseFault("replay")]]) });
  const client = await openClient(t, devnet, 4);
  const echo = (first: number) => ({
    header: { nonce: Buffer.concat([randomBytes(22), Buffer.of(first, first)]) },
  });
  const first = newQuery();
  const again = echo(1);
  client.ask(first, again);
  client.ask(first, again);
  client.ask(newQuery(), { key: randomBytes(32) });
  assert.equal((await client.next()).bytes[2], 204);
  for (const last of [2, 3]) {
    client.ask(newQuery(), echo(last));
    const { bytes, parsed } = await client.next();
    assert.deepEqual(bytes.subarray(46, 48), Buffer.of(1, 1));
    assert.deepEqual(parsed, { rejection: "mismatch" });
  }
  assert.deepEqual(devnet.exchanges(), []);
});

test("after a flood of forged answers comes the right one, and a retry gets it at once", async (t) => {
  const devnet = await openDevnet(t, { faults: new Map([[4, parseFault("flood:100")]]) });
  const client = await openClient(t, devnet, 4);
  const query = newQuery();
  client.ask(query);
  for (let count = 0; count < 100; count++) {
    const datagram = await client.next();
    assert.equal(datagram.from, devnet.raidas[4]);
    assert.equal(rejectionOf(datagram), "bad_mac");
  }
  assert.equal(rejectionOf(await client.next()), "none");
  client.ask(query);
  assert.equal(rejectionOf(await client.next()), "none");
});

test("a short share is the beginning of the right one", async (t) => {
  const devnet = await openDevnet(t);
  const client = await openClient(t, devnet, 4);
  const query = newQuery();
  client.ask(query);
  const whole = shareOf(await client.next());
  devnet.setFault(4, parseFault("short-share:5"));
  client.ask(query);
  assert.deepEqual(shareOf(await client.next()), whole.subarray(0, 5));
});

test("where shares are short, all are, and the Content Server derives its key of them", async (t) => {
  const { keySets, coin, query } = KNOWN;
  const devnet = await openDevnet(t, { keySets, coin, shareBytes: 1 });
  const client = await openClient(t, devnet, 24, coin);
  client.ask(query);
  assert.equal(shareOf(await client.next()).toString("hex"), VECTORS.shares[24]?.slice(0, 2));
  const key = devnet.contentServer.derive(keyOf(query, 1 << 24)).toString("hex");
  assert.notEqual(key, VECTORS.keys[2]?.key);
});

test("closing ends what is under way", async (t) => {
  const faults = new Map([
    [3, parseFault("delay:600000")],
    [4, parseFault("flood:1000000")],
  ]);
  const devnet = await openDevnet(t, { faults });
  for (const raida of [3, 4]) (await openClient(t, devnet, raida)).ask(newQuery());
  const client = await openClient(t, devnet, 4);
  client.ask(newQuery());
  await client.next();
  await devnet.close();
  await devnet.close();
  // Else this process, which has nothing else to wait for, would not end.
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((name) => name === "Timeout"),
    [],
  );
});
