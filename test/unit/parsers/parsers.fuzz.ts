// `npm run fuzz:parsers`: a million generated inputs to every parser of the server's own; none may
// fail otherwise than by a refusal, or take longer than 10 ms. Another number may be given, and the
// seed of a run that is to be repeated: `npm run fuzz:parsers -- 50000 123`.
import { randomInt } from "node:crypto";
import { fuzz } from "./fuzz.js";
import { listParsers } from "./parsers.js";

/** Milliseconds that no input may take, the least of several tries. */
const MOST = 10;

const total = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? randomInt(2 ** 31));
console.log(`seed ${seed}`);
for (const parser of listParsers()) {
  const start = performance.now();
  const { problems, longest } = fuzz(parser, total, seed);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const most = longest.millis.toFixed(2);
  console.log(`${parser.name}: ${total} inputs in ${seconds} s, the longest took ${most} ms`);
  const slow = longest.millis > MOST ? [`${longest.input.toString("base64")} took ${most} ms`] : [];
  for (const problem of [...problems, ...slow]) {
    console.log(`  ${problem}`);
    process.exitCode = 1;
  }
}
