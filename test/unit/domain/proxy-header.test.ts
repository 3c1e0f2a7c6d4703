import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readProxyHeader } from "../../../src/transports/net/proxy-header.js";

const line = (text: string) => Buffer.from(`${text}\r\n`);

/** A header of version 2: its command, family, and what follows the length. */
const binary = (command: number, family: number, rest: Buffer) => {
  const fixed = Buffer.from("0d0a0d0a000d0a515549540a00000000", "hex");
  fixed.writeUInt8(command, 12);
  fixed.writeUInt8(family, 13);
  fixed.writeUInt16BE(rest.length, 14);
  return Buffer.concat([fixed, rest]);
};

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const V4 = hex("c0000207 0a000001 c350 01bb");
const V6 = hex("20010db8000000000000000000000007 00000000000000000000000000000001 c350 01bb");
const MAPPED = hex("00000000000000000000ffffc0000207 00000000000000000000000000000001 c350 01bb");
const CALLER = { ip: "192.0.2.7", port: 50_000 };
const CALLER6 = { ip: "2001:db8::7", port: 50_000 };

const HEADERS = [
  [line("PROXY TCP4 192.0.2.7 10.0.0.1 50000 443"), CALLER],
  [line("PROXY TCP6 2001:DB8::7 ::1 50000 443"), CALLER6],
  [line("PROXY TCP6 ::ffff:192.0.2.7 ::1 50000 443"), CALLER],
  [line("PROXY UNKNOWN"), null],
  [line("PROXY UNKNOWN ffff::1 ffff::2 65535 65535"), null],
  [binary(0x21, 0x11, V4), CALLER],
  [binary(0x21, 0x21, V6), CALLER6],
  [binary(0x21, 0x21, MAPPED), CALLER],
  [binary(0x21, 0x11, Buffer.concat([V4, Buffer.alloc(4_000)])), CALLER],
  [binary(0x21, 0x31, Buffer.alloc(216)), null],
  [binary(0x21, 0x00, Buffer.alloc(0)), null],
  [binary(0x20, 0x11, V4), null],
  [binary(0x20, 0x00, Buffer.alloc(0)), null],
] as const;

test("a header of either version tells whom the proxy connects for, and where it ends", () => {
  for (const [header, source] of HEADERS) {
    const name = header.toString("latin1").slice(0, 60);
    for (const rest of [Buffer.alloc(0), Buffer.from("GET / HTTP/1.1\r\n\r\n"), header]) {
      const read = readProxyHeader(Buffer.concat([header, rest]));
      assert.deepEqual(read, { length: header.length, source }, name);
    }
  }
});

test("of a header that has not come in full, nothing is known", () => {
  for (const [header] of HEADERS) {
    for (let length = 0; length < header.length; length++) {
      assert.equal(readProxyHeader(header.subarray(0, length)), undefined);
    }
  }
});

test("what is no header is told from one", () => {
  for (const bytes of [
    Buffer.from("GET / HTTP/1.1\r\n"),
    Buffer.from("PRI * HTTP/2.0\r\n"),
    hex("16 03 01"),
    line("PROXY"),
    line("proxy TCP4 192.0.2.7 10.0.0.1 50000 443"),
    line("PROXY TCP4 192.0.2.7 10.0.0.1 50000"),
    line("PROXY TCP4 192.0.2.7 10.0.0.1 50000 443 more"),
    line("PROXY TCP4 192.0.2.7 10.0.0.1 65536 443"),
    line("PROXY TCP4 192.0.2.7 10.0.0.1 050 443"),
    line("PROXY TCP4 192.0.2.07 10.0.0.1 50000 443"),
    line("PROXY TCP4  192.0.2.7 10.0.0.1 50000 443"),
    line("PROXY TCP4 2001:db8::7 ::1 50000 443"),
    line("PROXY TCP6 192.0.2.7 10.0.0.1 50000 443"),
    line("PROXY TCP6 fe80::1%eth0 ::1 50000 443"),
    line("PROXY UDP4 192.0.2.7 10.0.0.1 50000 443"),
    line(`PROXY UNKNOWN ${"x".repeat(100)}`),
    binary(0x11, 0x11, V4),
    binary(0x22, 0x11, V4),
    binary(0x21, 0x12, V4),
    binary(0x21, 0x11, V4.subarray(1)),
    binary(0x21, 0x21, V6.subarray(1)),
    binary(0x21, 0x11, Buffer.alloc(4_081)),
  ]) {
    assert.equal(readProxyHeader(bytes), null, bytes.toString("latin1").slice(0, 60));
  }
});

test("any bytes are read or refused, and a header is never longer than them", () => {
  const start = fc.constantFrom(
    "",
    "PROXY ",
    "PROXY TCP4 ",
    "\r\n\r\n\0\r\nQUIT\n",
    "\r\n\r\n\0\r\nQUIT\n!",
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (text, more) => {
      const bytes = Buffer.concat([Buffer.from(text, "latin1"), more]);
      const read = readProxyHeader(bytes);
      assert.ok(!read || read.length <= bytes.length);
    }),
    { numRuns: 20_000 },
  );
});
