import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isIPv6Site, networkOf, siteOf } from "../../../src/lib/network.js";

const group = fc.integer({ min: 0, max: 0xffff });
/** Eight groups, many of them 0. */
const groups = fc.array(fc.oneof(fc.constant(0), group), { minLength: 8, maxLength: 8 });

const long = (address: readonly number[]) =>
  address.map((one) => one.toString(16).padStart(4, "0")).join(":");
/** As WHATWG writes it: the longest run of zeros is `::`. */
const short = (address: readonly number[]) =>
  new URL(`http://[${long(address)}]/`).hostname.slice(1, -1);
/** With the last two groups as an IPv4 address. */
const dotted = (address: readonly number[]) => {
  const [a = 0, b = 0] = address.slice(6);
  return `${long(address.slice(0, 6))}:${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
};
const isMapped = (address: readonly number[]) =>
  address.slice(0, 6).join() === [0, 0, 0, 0, 0, 0xffff].join();

test("an IPv6 address counts by its first 64 bits, however it is written", () => {
  fc.assert(
    fc.property(groups, groups, (one, other) => {
      fc.pre(!isMapped(one) && !isMapped(other));
      const network = networkOf(long(one));
      for (const spelling of [short(one), dotted(one), long(one).toUpperCase()]) {
        assert.equal(networkOf(spelling), network);
      }
      const neighbour = [...one.slice(0, 4), ...other.slice(4)];
      if (!isMapped(neighbour)) assert.equal(networkOf(short(neighbour)), network);
      const isSame = one.slice(0, 4).join() === other.slice(0, 4).join();
      assert.equal(networkOf(short(other)) === network, isSame);
    }),
  );
});

test("an IPv4 address counts by itself, also where it is mapped to IPv6", () => {
  fc.assert(
    fc.property(fc.ipV4(), (ip) => {
      assert.equal(networkOf(ip), ip);
      assert.equal(networkOf(`::ffff:${ip}`), ip);
      assert.equal(networkOf(`0:0:0:0:0:FFFF:${ip}`), ip);
    }),
  );
});

test("a zone is no part of an address", () => {
  assert.equal(networkOf("fe80::1%eth0"), networkOf("fe80::2"));
});

test("what is no address stands for itself", () => {
  for (const text of ["", "unix", ":::", "1.2.3", "::g"]) assert.equal(networkOf(text), text);
});

test("a site is the /48 of an IPv6 address and the /24 of an IPv4 address", () => {
  for (const [address, site] of [
    ["192.0.2.77", "192.0.2.0/24"],
    ["::ffff:192.0.2.77", "192.0.2.0/24"],
    ["::ffff:c000:24d", "192.0.2.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"],
    ["2001:DB8:1::%eth0", "2001:db8:1::/48"],
    ["::1", "0:0:0::/48"],
    ["unix:/run/a.sock", "unix:/run/a.sock"],
    ["", ""],
  ] as const) {
    assert.equal(siteOf(address), site);
    assert.equal(isIPv6Site(site), site.endsWith("/48"));
  }
});
