import { test } from "node:test";
import { fuzzCoins, fuzzRecords, fuzzRequests, fuzzResponses, fuzzWallets } from "./fuzz.js";

const RUNS = Number(process.env["TEST_RUNS"] ?? 5_000);

test("share requests are read as what they were made of, or refused (short form)", () => {
  fuzzRequests(RUNS);
});

test("share responses are read as what they were made of, or refused (short form)", () => {
  fuzzResponses(RUNS);
});

test("TXT records of any kind are read within their ranges (short form)", () => {
  fuzzRecords(RUNS);
});

test("coin files of any kind are read right or refused (short form)", () => {
  fuzzCoins(RUNS);
});

test("wallets with files of any kind give a coin or are unreadable (short form)", async () => {
  await fuzzWallets(RUNS / 10);
});
