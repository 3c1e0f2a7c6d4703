// `npm run fuzz:frames`: a million generated streams to the command protocol's frame reader.
// Another number may be given: `npm run fuzz:frames -- 50000`.
import { fuzzFrames } from "../grpc/frame-streams.js";

const total = Number(process.argv[2] ?? 1_000_000);
const start = performance.now();
fuzzFrames(total);
const seconds = ((performance.now() - start) / 1000).toFixed(1);
console.log(`${total} generated streams in ${seconds} s, each read right or refused`);
