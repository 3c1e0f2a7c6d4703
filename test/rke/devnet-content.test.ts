import assert from "node:assert/strict";
import { createCipheriv, randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { deriveKey } from "../../src/rke/derivation.js";
import type { Devnet } from "../../src/rke/devnet/devnet.js";
import type { ShareQuery } from "../../src/rke/packet.js";
import { xor } from "../../src/rke/xor.js";
import { keyOf, newQuery, openClient, openDevnet, shareOf } from "./devnet-trial.js";

const TEXT = Buffer.from("what only the two of them can read");

/** The key of a client that asks these RAIDA servers, one after the other, and counts some of them. */
async function exchange(
  t: TestContext,
  devnet: Devnet,
  asked: readonly number[],
  { query = newQuery(), counted = asked }: { query?: ShareQuery; counted?: readonly number[] } = {},
) {
  const shares: Buffer[] = [];
  for (const raida of asked) {
    const client = await openClient(t, devnet, raida);
    client.ask(query);
    const share = shareOf(await client.next());
    if (counted.includes(raida)) shares.push(share);
  }
  const key = Buffer.alloc(32);
  deriveKey(xor(shares), query, key);
  return { query, key };
}

function sealGcm(key: Buffer, associatedData = Buffer.alloc(0)) {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(associatedData);
  const body = [cipher.update(TEXT), cipher.final(), cipher.getAuthTag()];
  return { nonce: nonce.toString("base64"), ciphertext: Buffer.concat(body).toString("base64") };
}

function sealCtr(key: Buffer) {
  const nonce = randomBytes(16);
  const cipher = createCipheriv("aes-256-ctr", key, nonce);
  const ciphertext = Buffer.concat([cipher.update(TEXT), cipher.final()]).toString("base64");
  return { nonce: nonce.toString("hex"), ciphertext };
}

async function post({ content }: Devnet, body: unknown, path = "/decrypt") {
  const response = await fetch(`http://${content}${path}`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test("the Content Server decrypts GCM of whatever exchange, and tells which", async (t) => {
  const devnet = await openDevnet(t);
  const first = await exchange(t, devnet, [2, 0, 24]);
  await exchange(t, devnet, [1, 2, 3]);
  const associatedData = Buffer.from("for this only");
  for (const sealed of [
    sealGcm(first.key),
    {
      ...sealGcm(first.key, associatedData),
      associated_data: associatedData.toString("base64"),
      cipher: "AES_256_GCM",
    },
  ]) {
    assert.deepEqual(await post(devnet, sealed), {
      status: 200,
      body: {
        plaintext: TEXT.toString("base64"),
        cs_id: "DEVNET",
        key_id: 1,
        client_serial: first.query.clientSerial.toString("hex"),
        time: first.query.time,
        raidas: [0, 2, 24],
      },
    });
  }
});

test("it finds the key of a client that counted only those that answered first", async (t) => {
  const devnet = await openDevnet(t);
  const { key } = await exchange(t, devnet, [9, 4, 7, 1], { counted: [9, 4] });
  const { status, body } = await post(devnet, sealGcm(key));
  assert.deepEqual([status, body["raidas"]], [200, [4, 9]]);
});

test("it is told which RAIDA servers a client counted, where it cannot find out", async (t) => {
  const devnet = await openDevnet(t);
  const { key } = await exchange(t, devnet, [9, 4, 7, 1], { counted: [4, 1] });
  assert.equal((await post(devnet, sealGcm(key))).status, 404);
  const { status, body } = await post(devnet, { ...sealGcm(key), raidas: [1, 4] });
  assert.deepEqual([status, body["plaintext"]], [200, TEXT.toString("base64")]);
});

test("CTR is decrypted with the newest key, or with the one that is named", async (t) => {
  const devnet = await openDevnet(t);
  const older = await exchange(t, devnet, [1, 2, 3], { counted: [1, 3] });
  const newer = await exchange(t, devnet, [1, 2, 3]);
  const plaintextOf = async (sealed: object) => (await post(devnet, sealed)).body["plaintext"];
  assert.equal(await plaintextOf(sealCtr(newer.key)), TEXT.toString("base64"));
  assert.notEqual(await plaintextOf(sealCtr(older.key)), TEXT.toString("base64"));
  const client_serial = older.query.clientSerial.toString("hex").toUpperCase();
  const named = { ...sealCtr(older.key), client_serial, raidas: [3, 1] };
  assert.equal(await plaintextOf(named), TEXT.toString("base64"));
});

test("a retry is the same exchange, and another key set, serial or time another one", async (t) => {
  const devnet = await openDevnet(t);
  const query = newQuery();
  await exchange(t, devnet, [5, 5, 6], { query });
  await exchange(t, devnet, [7], { query: { ...query, time: query.time + 1 } });
  await exchange(t, devnet, [8], { query: newQuery() });
  assert.deepEqual(
    devnet.exchanges().map(({ raidas }) => raidas),
    [[8], [7], [5, 6]],
  );
});

test("a hundred exchanges are remembered", async (t) => {
  const devnet = await openDevnet(t);
  const client = await openClient(t, devnet, 0);
  const queries = Array.from({ length: 103 }, () => newQuery());
  for (const query of queries) {
    client.ask(query);
    await client.next();
  }
  assert.deepEqual(
    devnet.exchanges().map(({ clientSerial }) => clientSerial),
    queries
      .slice(3)
      .reverse()
      .map(({ clientSerial }) => clientSerial.toString("hex")),
  );
});

test("a key is derived of a bitmap of servers and a key set that exist only", async (t) => {
  const { contentServer } = await openDevnet(t);
  for (const raidas of [0, -1, 2 ** 25, 1.5, Number.NaN]) {
    assert.throws(() => contentServer.derive(keyOf(newQuery(), raidas)), { code: "invalid" });
  }
  assert.throws(() => contentServer.derive(keyOf(newQuery({ keyId: 2 }), 1)), {
    code: "not_found",
  });
  assert.equal(contentServer.derive(keyOf(newQuery(), 2 ** 25 - 1)).length, 32);
});

test("a request that is wrong is answered with what is wrong with it", async (t) => {
  const devnet = await openDevnet(t);
  const { key } = await exchange(t, devnet, [1]);
  const sealed = sealGcm(key);
  for (const [body, status, part] of [
    ["{", 400, "JSON"],
    ["null", 400, "object"],
    [{}, 400, "nonce"],
    [{ ...sealed, nonce: "00" }, 400, "nonce"],
    [{ ...sealed, nonce: "ab".repeat(16), cipher: "AES_256_GCM" }, 400, "12 bytes"],
    [{ ...sealed, ciphertext: "?" }, 400, "ciphertext"],
    [{ ...sealed, ciphertext: "AAAA" }, 400, "tag"],
    [{ ...sealed, cipher: "toString" }, 400, "AES_256_CTR"],
    [{ ...sealed, associated_data: 1 }, 400, "associated_data"],
    [{ ...sealed, client_serial: "00" }, 400, "client_serial"],
    [{ ...sealed, raidas: [25] }, 400, "raidas"],
    [{ ...sealed, raidas: [] }, 400, "raidas"],
    [{ ...sealed, client_serial: "0000000000" }, 404, "fits"],
    [sealGcm(randomBytes(32)), 404, "fits"],
    ["x".repeat(3_000_000), 400, "at most"],
  ] as const) {
    const answer = await post(devnet, body);
    assert.equal(answer.status, status, JSON.stringify(body).slice(0, 200));
    assert.match(String(answer.body["error"]), new RegExp(part));
  }
  assert.equal((await post(devnet, sealed, "/other")).status, 404);
  assert.equal((await fetch(`http://${devnet.content}/decrypt`)).status, 404);
});
