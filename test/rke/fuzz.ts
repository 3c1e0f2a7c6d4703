import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ExchangeError } from "../../src/domain/rke/key-exchange.js";
import {
  makeRequest,
  makeResponse,
  openRequest,
  parseRequest,
  parseResponse,
  RAIDAS,
  REQUEST_NONCE,
  RESPONSE_NONCE,
  STATUS,
} from "../../src/rke/packet.js";
import { parseRecords } from "../../src/rke/records.js";
import { COIN_FILE_START, parseCoin, withCoin } from "../../src/rke/wallet.js";
import { hex, VECTORS } from "./vectors.js";

const bytes = (minLength: number, maxLength = minLength) =>
  fc.uint8Array({ minLength, maxLength }).map((content) => Buffer.from(content));

/** Bytes at some places changed, then perhaps cut or lengthened. */
const damage = fc.record({
  changes: fc.array(fc.tuple(fc.nat(600), fc.integer({ min: 1, max: 255 })), { maxLength: 3 }),
  cut: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat(150)),
  tail: fc.oneof({ weight: 6, arbitrary: fc.constant(Buffer.alloc(0)) }, bytes(0, 40)),
});
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function damaged(right: Buffer, { changes, cut, tail }: Damage): Buffer {
  const copy = Buffer.from(right);
  for (const [at, mask] of changes) copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ mask;
  return Buffer.concat([copy.subarray(0, Math.max(0, copy.length - cut)), tail]);
}

/** Whether two datagrams are the same apart from the bytes that `isFree` says may be anything. */
function isSame(a: Buffer, b: Buffer, isFree: (at: number) => boolean): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at] || isFree(at));
}

const coin = fc.record(
  {
    denomination: fc.integer({ min: -128, max: 127 }),
    serialNumber: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  },
  { noNullPrototype: true },
);
const header = fc.record(
  { raida: fc.nat(24), coin, nonce: bytes(REQUEST_NONCE) },
  { noNullPrototype: true },
);
const csId = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 16,
});
const query = fc.record(
  {
    csId,
    keyId: fc.nat(255),
    clientSerial: bytes(5),
    time: fc.maxSafeNat(),
  },
  { noNullPrototype: true },
);

/**
 * Share requests as they are made, and damaged. A right one gives back what it was made of; any
 * other is refused unless only what nobody can check is changed.
 */
export function fuzzRequests(runs: number): void {
  const inputs = fc.record({ header, query, key: bytes(32), damage });
  const property = fc.property(inputs, ({ header, query, key, damage }) => {
    const right = makeRequest(header, query, key);
    assert.deepEqual(parseRequest(right), header);
    assert.deepEqual(openRequest(right, key), query);

    const wrong = damaged(right, damage);
    // The number, the coin and the nonce say what is asked; the body is opened later.
    const isRequest = isSame(wrong, right, (at) => at === 2 || (at >= 19 && at < wrong.length - 2));
    assert.equal(parseRequest(wrong) !== undefined, isRequest);
    if (!isRequest) return;
    const opened = openRequest(wrong, key);
    if (isSame(wrong, right, (at) => at < 24 || (at >= 40 && at < 48))) {
      assert.deepEqual(opened, query);
    } else if (!isSame(wrong, right, (at) => at < 48)) {
      assert.equal(opened, undefined);
    }
  });
  fc.assert(property, { numRuns: runs });
}

/** Share responses as they are made, damaged, and bytes of any kind; judged as requests are. */
export function fuzzResponses(runs: number): void {
  const inputs = fc.record({
    header,
    executionTime: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    nonce: bytes(RESPONSE_NONCE),
    share: bytes(1, 64),
    key: bytes(32),
    damage,
    noise: bytes(0, 200),
  });
  const property = fc.property(inputs, ({ header, share, key, damage, noise, ...rest }) => {
    const { raida, coin } = header;
    const echo = header.nonce.subarray(REQUEST_NONCE - 2);
    const right = makeResponse({ raida, coin, echo, status: STATUS.success, ...rest }, share, key);
    assert.deepEqual(parseResponse(right, header, key), { share });
    assert.ok("rejection" in parseResponse(noise, header, key));

    const wrong = damaged(right, damage);
    const parsed = parseResponse(wrong, header, key);
    const isUnchecked = (at: number) =>
      at === 1 || (at >= 4 && at < 9) || (at >= 12 && at < 16) || at === 22 || at === 23;
    if (isSame(wrong, right, (at) => isUnchecked(at) || (at >= 40 && at < 46))) {
      assert.deepEqual(parsed, { share });
    } else if (!isSame(wrong, right, (at) => isUnchecked(at) || (at >= 24 && at < 46))) {
      assert.ok("rejection" in parsed);
    }
  });
  fc.assert(property, { numRuns: runs });
}

const blank = fc.constantFrom("", " ", "\t", "   ");
const gap = fc.constantFrom(" ", "\t ", "  ");
const keyId = fc.nat(300);
const keyword = (word: string) => fc.constantFrom(word, word.toUpperCase());
const joined = (...parts: fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((texts) => texts.join(""));

/** Lines of every kind, right and nearly so. */
const line = fc.oneof(
  joined(blank, keyword("k"), keyId.map(String), blank, fc.constant("="), blank, csId),
  joined(
    blank,
    fc.oneof(
      fc.ipV4(),
      fc.ipV4Extended(),
      fc.ipV6().map((ip) => `[${ip}]`),
    ),
    fc.constant(":"),
    fc.nat(70_000).map(String),
    fc
      .array(joined(gap, keyword("k"), keyId.map(String)), { maxLength: 4 })
      .map((ids) => ids.join("")),
  ),
  joined(
    keyword("required"),
    gap,
    keyword("raidas"),
    blank,
    fc.constant(">="),
    blank,
    fc.nat(30).map(String),
  ),
  joined(keyword("challenge"), blank, fc.constant("="), fc.string()),
  fc.string({ unit: "binary", maxLength: 30 }),
  // What makes an expression try again and again, if any does.
  fc
    .tuple(fc.constantFrom(" ", "k1 ", " k1", "=", "1", ".", "["), fc.nat(400))
    .map(([piece, count]) => piece.repeat(count)),
);

/**
 * TXT records of any kind. What is read lies in its ranges, every line is read or skipped, and how
 * the text is cut into strings does not matter.
 */
export function fuzzRecords(runs: number): void {
  const inputs = fc.record({
    lines: fc.array(line, { maxLength: 12 }),
    end: fc.constantFrom("\n", "\r\n", "\n\n"),
    cuts: fc.array(fc.nat(300), { maxLength: 3 }),
  });
  const property = fc.property(inputs, ({ lines, end, cuts }) => {
    const text = lines.join(end);
    const skipped: string[] = [];
    const records = parseRecords([[text]], (skippedLine) => skipped.push(skippedLine));
    for (const [keyId, csId] of records.keySets) {
      assert.ok(keyId >= 0 && keyId <= 255 && /^[!-~]{1,16}$/.test(csId));
    }
    const addresses = records.servers.map(({ address, port }) => `${address} ${port}`);
    assert.equal(new Set(addresses).size, addresses.length);
    const positions = records.servers.map(({ position }) => position);
    assert.deepEqual(
      positions,
      [...new Set(positions)].sort((a, b) => a - b),
    );
    for (const { position, port, keyIds } of records.servers) {
      assert.ok(position >= 0 && position < RAIDAS);
      assert.ok(port >= 1 && port <= 65_535);
      assert.ok(keyIds.every((keyId) => keyId >= 0 && keyId <= 255));
    }
    const required = records.requiredRaidas ?? 1;
    assert.ok(required >= 1 && required <= RAIDAS);

    const told = text.split(/[\r\n]+/).filter((each) => each.trim() !== "").length;
    const others = text.match(/^\s*(?:challenge\s*=|required\s)/gim)?.length ?? 0;
    const used = records.keySets.size + records.servers.length;
    assert.ok(used + skipped.length <= told && told <= used + skipped.length + others);

    const ends = [...cuts.filter((at) => at < text.length), text.length].sort((a, b) => a - b);
    const strings = ends.map((at, index) => text.slice(ends[index - 1] ?? 0, at));
    assert.deepEqual(
      parseRecords([strings], () => {}),
      records,
    );
  });
  fc.assert(property, { numRuns: runs });
}

const COIN_FILE = hex(VECTORS.coin_file);

/** Starts of coin files, right, damaged and of any kind, with sizes that fit them or do not. */
export function fuzzCoins(runs: number): void {
  const inputs = fc.record({
    damage,
    size: fc.oneof(fc.constant(COIN_FILE.length), fc.nat(2_000), fc.constant(2 ** 40)),
  });
  const property = fc.property(inputs, ({ damage, size }) => {
    const start = damaged(COIN_FILE, damage);
    const coin = parseCoin(start, size);
    const isWellFormed =
      start.length === COIN_FILE_START &&
      start[0] === 9 &&
      start[5] === 0 &&
      start.readUInt16BE(6) > 0 &&
      size === 32 + 407 * start.readUInt16BE(6);
    assert.equal(coin !== undefined, isWellFormed);
    if (coin) assert.deepEqual(coin.ans, start.subarray(39));
  });
  fc.assert(property, { numRuns: runs });
}

/** The same as files of a wallet: a coin is read, or the wallet is unreadable. */
export async function fuzzWallets(runs: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-r1-fuzz-"));
  const bank = join(folder, "Wallet", "Bank");
  mkdirSync(bank, { recursive: true });
  try {
    const contents = fc.oneof(
      damage.map((how) => damaged(COIN_FILE, how)),
      bytes(0, 900),
    );
    const property = fc.asyncProperty(contents, async (content) => {
      writeFileSync(join(bank, "coin.bin"), content);
      const found = await withCoin(folder, join(folder, "Wallet"), ({ ans }) =>
        ans.toString("hex"),
      ).catch((error: unknown) => error);
      const isCoin = parseCoin(content.subarray(0, COIN_FILE_START), content.length) !== undefined;
      if (isCoin) assert.equal(found, content.toString("hex", 39, COIN_FILE_START));
      else assert.ok(found instanceof ExchangeError && found.reason === "wallet_unreadable");
    });
    await fc.assert(property, { numRuns: runs });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
