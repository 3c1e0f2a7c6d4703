// `npm run fuzz:rke`: a million generated inputs to each parser of the key exchange, and a
// hundredth of that as files on disk, which take a hundred times as long. package.json gives it
// a heap of 128 MiB, so that a parser that keeps what it read ends the run.
// Another number may be given: `npm run fuzz:rke -- 50000`.
import { fuzzCoins, fuzzRecords, fuzzRequests, fuzzResponses, fuzzWallets } from "./fuzz.js";

const total = Number(process.argv[2] ?? 1_000_000);
for (const [name, fuzz, runs = total] of [
  ["share requests", fuzzRequests],
  ["share responses", fuzzResponses],
  ["TXT records", fuzzRecords],
  ["starts of coin files", fuzzCoins],
  ["wallets on disk", fuzzWallets, Math.ceil(total / 100)],
] satisfies [string, (runs: number) => void | Promise<void>, number?][]) {
  const start = performance.now();
  await fuzz(runs);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${runs} generated ${name} in ${seconds} s, each read right or refused`);
}
console.log(`peak memory ${Math.ceil(process.resourceUsage().maxRSS / 1024)} MiB`);
