import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isAddress, isLoopback, parseHost } from "../../../src/lib/host.js";

for (const [header, host] of [
  ["localhost", "localhost"],
  ["LocalHost:8080", "localhost"],
  ["sessions.example:", "sessions.example"],
  ["my_service:80", "my_service"],
  ["192.0.2.1:65535", "192.0.2.1"],
  ["[::1]", "[::1]"],
  ["[2001:DB8::1]:443", "[2001:db8::1]"],
  ["[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"],
] as const) {
  test(`the host of ${JSON.stringify(header)} is ${host}`, () => {
    assert.equal(parseHost(header), host);
  });
}

for (const header of [
  "",
  ":80",
  "::1",
  "[::1",
  "[]",
  "[:]",
  "[127.0.0.1]",
  "[localhost]",
  "[::1]x",
  "[fe80::1%25eth0]",
  "localhost:80:80",
  "localhost:http",
  "localhost:123456",
  "user@localhost",
  "localhost/",
  "localhost, evil.test",
  "localhost\n",
  " localhost",
  "löcalhost",
]) {
  test(`${JSON.stringify(header)} is no host`, () => assert.equal(parseHost(header), undefined));
}

test("a host that is parsed is what a browser connects to for it", () => {
  const label = fc
    .stringMatching(/^[a-zA-Z][a-zA-Z0-9-]{0,9}$/)
    .filter((one) => !/^xn-/i.test(one));
  const host = fc.oneof(
    fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join(".")),
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
  );
  fc.assert(
    fc.property(host, fc.option(fc.nat(65_535), { nil: undefined }), (name, port) => {
      const header = port === undefined ? name : `${name}:${port}`;
      const parsed = parseHost(header) ?? assert.fail(header);
      assert.equal(new URL(`http://${parsed}`).hostname, new URL(`http://${header}`).hostname);
      assert.equal(isAddress(parsed), !/^[a-zA-Z]/.test(name));
    }),
  );
});

test("whatever a header holds, its host is undefined or itself without a port", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^[a-z0-9.:[\]@/ ]{0,20}$/),
  );
  fc.assert(
    fc.property(text, (header) => {
      const host = parseHost(header);
      if (host === undefined) return;
      assert.equal(parseHost(host), host);
      assert.match(header.toLowerCase().slice(host.length), /^(:\d*)?$/);
      assert.ok(header.toLowerCase().startsWith(host));
    }),
  );
});

test("only localhost, 127.x and ::1 are loopback", () => {
  for (const host of ["localhost", "127.0.0.1", "127.255.0.9", "[::1]", "::1"]) {
    assert.ok(isLoopback(host), host);
  }
  for (const host of [
    "0.0.0.0",
    "[::]",
    "128.0.0.1",
    "127.evil.test",
    "127.0.0.1.evil.test",
    "localhost.evil.test",
    "127.1",
  ]) {
    assert.ok(!isLoopback(host), host);
  }
});
