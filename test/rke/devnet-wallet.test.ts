import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encodeCoinFile, writeWallet } from "../../src/rke/devnet/wallet-folder.js";
import { makeFolder } from "../support/process/server.js";
import { COIN, openDevnet } from "./devnet-trial.js";
import { hex, VECTORS } from "./vectors.js";

const modeOf = (path: string) => statSync(path).mode & 0o777;

test("the known coin makes the known coin file", () => {
  const coin = {
    denomination: VECTORS.coin.denomination,
    serialNumber: VECTORS.coin.serial_number,
    ans: Buffer.concat(VECTORS.coin.ans.map(hex)),
  };
  assert.equal(encodeCoinFile(coin).toString("hex"), VECTORS.coin_file);
});

test("a wallet in a temporary folder is for its owner alone, and goes as a whole", async (t) => {
  const devnet = await openDevnet(t);
  const wallets = devnet.env.LATCHKEY_RKE_WALLETS;
  assert.equal(join(wallets, "wallet"), devnet.wallet);
  for (const folder of [wallets, devnet.wallet, join(devnet.wallet, "Bank")]) {
    assert.equal(modeOf(folder), 0o700);
  }
  const file = join(devnet.wallet, "Bank", "coin.bin");
  assert.equal(modeOf(file), 0o600);
  assert.deepEqual(readFileSync(file), encodeCoinFile(COIN));
  await devnet.close();
  assert.equal(existsSync(wallets), false);
});

test("of a folder that exists only the wallet goes", async (t) => {
  const folder = await makeFolder(t);
  const wallet = writeWallet(folder, COIN);
  assert.deepEqual(readdirSync(folder), ["wallet"]);
  wallet.remove();
  assert.deepEqual(readdirSync(folder), []);
});

test("folders that are made on the way go again, and have mode 700", async (t) => {
  const folder = await makeFolder(t);
  const wallet = writeWallet(join(folder, "a", "b"), COIN);
  for (const made of ["a", "a/b", "a/b/wallet"]) assert.equal(modeOf(join(folder, made)), 0o700);
  wallet.remove();
  assert.deepEqual(readdirSync(folder), []);
});

test("a wallet that exists is left alone, and nothing is started", async (t) => {
  const folder = await makeFolder(t);
  const kept = join(folder, "wallet", "kept");
  mkdirSync(kept, { recursive: true });
  await assert.rejects(openDevnet(t, { folder }), {
    code: "exists",
    message: `${join(folder, "wallet")} exists: remove it, or give another folder`,
  });
  assert.ok(existsSync(kept));
});
