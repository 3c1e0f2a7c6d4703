/** Prints how large the client is in a page: `npm run size -w latchkey-client`. */
import { brotliCompressSync, gzipSync } from "node:zlib";
import { bundle } from "./bundle.js";

const { text } = await bundle("../src/web.ts");
const kilobytes = (bytes: { length: number }) => `${(bytes.length / 1000).toFixed(1)} kB`;
const whole = Buffer.from(text);
console.log(
  `${kilobytes(whole)} minified, ${kilobytes(gzipSync(whole))} by gzip, ${kilobytes(brotliCompressSync(whole))} by brotli`,
);
