import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { createServer } from "node:net";
import { basename, dirname, join, relative } from "node:path";
import { type TestContext, test } from "node:test";
import { ExchangeError } from "../../src/domain/rke/key-exchange.js";
import { type Coin, withCoin } from "../../src/rke/wallet.js";
import { createWallets } from "./raida-servers.js";
import { hex, VECTORS } from "./vectors.js";

const COIN_FILE = hex(VECTORS.coin_file);

const coinOf = ({ denomination, serialNumber, ans }: Coin) => ({
  denomination,
  serialNumber,
  ans: ans.toString("hex"),
});
const KNOWN = {
  denomination: VECTORS.coin.denomination,
  serialNumber: VECTORS.coin.serial_number,
  ans: VECTORS.coin.ans.join(""),
};

/** Counts the files that are opened from here until the test ends. */
function countOpened(t: TestContext): () => number {
  const { mock } = t.mock.method(promises, "open");
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  return () => mock.callCount();
}

async function failureOf(folder: string | null, path: string): Promise<ExchangeError> {
  const failure = await withCoin(folder, path, () => "a coin").catch((error: unknown) => error);
  assert.ok(failure instanceof ExchangeError, `${path}: ${failure}`);
  return failure;
}

/** A wallets folder whose one wallet has only what `fill` puts into its Bank. */
function createBank(t: TestContext, fill: (bank: string, folder: string) => void) {
  const { folder, wallet } = createWallets(t);
  rmSync(join(wallet, "Bank", "one.bin"));
  fill(join(wallet, "Bank"), folder);
  return { folder, wallet };
}

test("a coin file of format 9 gives its coin, as its known answer says", async (t) => {
  const { folder, wallet } = createWallets(t);
  const opened = countOpened(t);
  assert.deepEqual(await withCoin(folder, wallet, coinOf), KNOWN);
  assert.equal(opened(), 1);
});

test("the authenticity numbers are zeroed after use, and after a failure of the use", async (t) => {
  const { folder, wallet } = createWallets(t);
  const kept: Buffer[] = [];
  await withCoin(folder, wallet, ({ ans }) => kept.push(ans));
  const use = ({ ans }: Coin) => {
    kept.push(ans);
    throw new Error("the use failed");
  };
  await assert.rejects(withCoin(folder, wallet, use), /the use failed/);
  assert.deepEqual(kept, [Buffer.alloc(400), Buffer.alloc(400)]);
});

test("paths that lead to no folder inside are refused alike, and nothing is opened", async (t) => {
  const { folder, wallet } = createWallets(t);
  const outside = createWallets(t);
  const bound = createServer().listen(join(folder, "socket"));
  t.after(() => bound.close());
  await once(bound, "listening");
  execFileSync("mkfifo", [join(folder, "pipe")]);
  writeFileSync(join(folder, "file"), COIN_FILE);
  symlinkSync(outside.wallet, join(folder, "link"));
  symlinkSync(outside.folder, join(folder, "folder-link"));
  symlinkSync(join(outside.folder, "nothing"), join(folder, "dangling"));
  symlinkSync(join(folder, "circle"), join(folder, "circle"));
  symlinkSync("/dev/zero", join(folder, "device"));
  mkdirSync(`${folder}-beside/Bank`, { recursive: true });
  t.after(() => rmSync(`${folder}-beside`, { recursive: true }));
  mkdirSync(join(folder, "Linked"));
  symlinkSync(join(outside.wallet, "Bank"), join(folder, "Linked", "Bank"));

  const opened = countOpened(t);
  const expected = (await failureOf(folder, "")).message;
  for (const path of [
    outside.wallet,
    join(outside.folder, "nothing"),
    `${folder}-beside`,
    "/",
    dirname(folder),
    "Default",
    "./Default",
    relative(process.cwd(), wallet),
    `${folder}/../${basename(folder)}/Default`,
    `${wallet}/..`,
    `${wallet}/Bank/..`,
    `${outside.folder}/..`,
    `${wallet}\0`,
    `${wallet}\0/../../etc`,
    join(folder, "link"),
    join(folder, "folder-link", "Default"),
    join(folder, "folder-link", "nothing"),
    join(folder, "dangling"),
    join(folder, "dangling", "further"),
    join(folder, "circle"),
    join(folder, "device"),
    join(folder, "pipe"),
    join(folder, "socket"),
    join(folder, "file"),
    join(folder, "file", "further"),
    join(folder, "Linked"),
    "/dev/zero",
    "/dev/null",
    "/etc/passwd",
    `${folder}/${"a".repeat(300)}`,
    `${folder}/${"a/".repeat(5_000)}`,
    `file://${wallet}`,
  ]) {
    const { reason, message } = await failureOf(folder, path);
    assert.deepEqual([reason, message], ["wallet_refused", expected], JSON.stringify(path));
  }
  assert.equal(opened(), 0);
});

for (const [what, put] of [
  ["a link to a coin outside", (file, outside) => symlinkSync(join(outside, "one.bin"), file)],
  ["a link to nothing", (file, outside) => symlinkSync(join(outside, "nothing"), file)],
  ["a device", (file) => symlinkSync("/dev/zero", file)],
  ["a folder", (file) => mkdirSync(file)],
  ["a pipe", (file) => execFileSync("mkfifo", [file])],
] satisfies [string, (file: string, outside: string) => unknown][]) {
  test(`${what} in place of a coin file is refused, and nothing is opened`, async (t) => {
    const outside = createWallets(t);
    const { folder, wallet } = createBank(t, (bank) => {
      put(join(bank, "coin.bin"), join(outside.wallet, "Bank"));
    });
    const opened = countOpened(t);
    assert.equal((await failureOf(folder, wallet)).reason, "wallet_refused");
    assert.equal(opened(), 0);
  });

  test(`${what} beside a coin file leaves that one to be used`, async (t) => {
    const { folder, wallet } = createWallets(t);
    put(join(wallet, "Bank", "a.bin"), join(createWallets(t).wallet, "Bank"));
    assert.deepEqual(await withCoin(folder, wallet, coinOf), KNOWN);
  });
}

test("links that stay inside are followed", async (t) => {
  const { folder, wallet } = createWallets(t);
  symlinkSync(wallet, join(folder, "Other"));
  assert.deepEqual(await withCoin(folder, join(folder, "Other"), coinOf), KNOWN);
});

test("the folder of wallets may itself be given through a link", async (t) => {
  const { folder, wallet } = createWallets(t);
  symlinkSync(folder, `${folder}-link`);
  t.after(() => rmSync(`${folder}-link`));
  assert.deepEqual(await withCoin(`${folder}-link`, wallet, coinOf), KNOWN);
});

test("without a folder of wallets every path is refused", async (t) => {
  const failure = await failureOf(null, createWallets(t).wallet);
  assert.equal(failure.reason, "wallet_refused");
  assert.match(failure.message, /LATCHKEY_RKE_WALLETS/);
});

test("a wallet that is not there is missing", async (t) => {
  const { folder } = createWallets(t);
  assert.equal((await failureOf(folder, join(folder, "nothing"))).reason, "wallet_missing");
  assert.equal((await failureOf(folder, join(folder, "no", "such"))).reason, "wallet_missing");
});

test("a wallet without a coin file is empty", async (t) => {
  const { folder, wallet } = createBank(t, (bank) => writeFileSync(join(bank, "note.txt"), "?"));
  assert.equal((await failureOf(folder, wallet)).reason, "wallet_empty");
  rmSync(join(wallet, "Bank"), { recursive: true });
  assert.equal((await failureOf(folder, wallet)).reason, "wallet_empty");
});

/** The coin file with one byte set. */
function withByte(at: number, value: number): Buffer {
  const file = Buffer.from(COIN_FILE);
  file[at] = value;
  return file;
}

for (const [what, content] of [
  ["of no bytes", Buffer.alloc(0)],
  ["of a header alone", COIN_FILE.subarray(0, 32)],
  ["one byte short", COIN_FILE.subarray(0, -1)],
  ["one byte long", Buffer.concat([COIN_FILE, Buffer.of(0)])],
  ["of another format", withByte(0, 8)],
  ["that is encrypted", withByte(5, 1)],
  ["of no coins", withByte(7, 0)],
  ["of more coins than its length has", withByte(7, 2)],
] satisfies [string, Buffer][]) {
  test(`a coin file ${what} is unreadable, and the error does not name it`, async (t) => {
    const { folder, wallet } = createBank(t, (bank) => {
      writeFileSync(join(bank, "secret-name.bin"), content);
    });
    const failure = await failureOf(folder, wallet);
    assert.equal(failure.reason, "wallet_unreadable");
    assert.doesNotMatch(failure.message, /secret-name/);
  });

  test(`a coin file ${what} beside a good one leaves that one to be used`, async (t) => {
    const { folder, wallet } = createWallets(t);
    for (const name of ["a.bin", "z.bin"]) writeFileSync(join(wallet, "Bank", name), content);
    assert.deepEqual(await withCoin(folder, wallet, coinOf), KNOWN);
  });
}

test("of a coin file of many coins the first is used", async (t) => {
  const other = Buffer.alloc(407, 1);
  const { folder, wallet } = createBank(t, (bank) => {
    const file = Buffer.concat([withByte(7, 2), other]);
    writeFileSync(join(bank, "two.bin"), file);
  });
  assert.deepEqual(await withCoin(folder, wallet, coinOf), KNOWN);
});

test("a denomination below zero and a great serial number are read as they are", async (t) => {
  const file = withByte(34, 0xfa);
  file.writeUInt32BE(4_000_000_000, 35);
  const { folder, wallet } = createBank(t, (bank) => writeFileSync(join(bank, "a.bin"), file));
  const coin = await withCoin(folder, wallet, coinOf);
  assert.deepEqual([coin.denomination, coin.serialNumber], [-6, 4_000_000_000]);
});

test("a file of a terabyte costs no more than another", async (t) => {
  const { folder, wallet } = createBank(t, (bank) => {
    writeFileSync(join(bank, "a.bin"), COIN_FILE);
    truncateSync(join(bank, "a.bin"), 2 ** 40);
  });
  assert.equal((await failureOf(folder, wallet)).reason, "wallet_unreadable");
});
