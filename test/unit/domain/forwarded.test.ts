import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createNetworkRule, type Network, parseNetwork } from "../../../src/lib/network.js";
import { forwardedAddress } from "../../../src/transports/net/forwarded.js";

const rule = (...texts: readonly string[]) =>
  createNetworkRule(texts.map((text) => parseNetwork(text)).filter((one) => one !== undefined));
const isTrusted = rule("10.0.0.0/8", "2001:db8:1::/48");
const PROXY = "10.0.0.1";

interface Headers {
  readonly list?: string;
  readonly elements?: string;
  readonly peer?: string;
}

const decide = ({ list, elements, peer = PROXY }: Headers) =>
  forwardedAddress(peer, (name) => (name === "forwarded" ? elements : list), isTrusted);

/** Headers of a trusted proxy, and the caller's address by them; undefined: the proxy itself. */
const CASES: readonly [title: string, Headers, string | undefined][] = [
  ["neither header", {}, undefined],
  ["one address", { list: "192.0.2.7" }, "192.0.2.7"],
  ["one that the caller made up", { list: "198.51.100.1, 192.0.2.7" }, "192.0.2.7"],
  ["trusted proxies before the peer", { list: "192.0.2.7, 10.1.1.1,10.2.2.2" }, "192.0.2.7"],
  ["trusted addresses only", { list: "10.0.0.9, 10.1.1.1" }, "10.0.0.9"],
  ["a port", { list: "192.0.2.7:4711" }, "192.0.2.7"],
  ["IPv6", { list: "2001:DB8::7, 2001:db8:1::5" }, "2001:db8::7"],
  ["IPv6 in brackets with a port", { list: "[2001:db8::7]:4711" }, "2001:db8::7"],
  ["IPv4 as IPv6", { list: "192.0.2.7, ::ffff:10.1.1.1" }, "192.0.2.7"],
  ["what is malformed left of the caller", { list: "nonsense,, 192.0.2.7" }, "192.0.2.7"],
  ["what is malformed in its place", { list: "192.0.2.7, nonsense, 10.1.1.1" }, undefined],
  ["nothing", { list: "" }, undefined],
  ["nothing at the end", { list: "192.0.2.7," }, undefined],
  ["a comma", { list: "," }, undefined],
  ["a zone", { list: "fe80::1%eth0" }, undefined],
  ["IPv4 in brackets", { list: "[192.0.2.7]" }, undefined],
  ["an address of five numbers", { list: "192.0.2.7.1" }, undefined],
  ["a name", { list: "caller.example" }, undefined],
  ["the caller beyond 32 proxies", { list: `192.0.2.7${", 10.1.1.1".repeat(32)}` }, undefined],
  ["the caller behind 31 proxies", { list: `192.0.2.7${", 10.1.1.1".repeat(31)}` }, "192.0.2.7"],

  ["Forwarded", { elements: "for=192.0.2.7" }, "192.0.2.7"],
  [
    "its other parameters",
    { elements: 'By=10.0.0.1;FOR="192.0.2.7:80" ; proto=http' },
    "192.0.2.7",
  ],
  ["its IPv6", { elements: 'for="[2001:db8::7]:4711", for=10.1.1.1' }, "2001:db8::7"],
  ["its made up ones", { elements: "for=198.51.100.1, for=192.0.2.7" }, "192.0.2.7"],
  ["an escaped quotation", { elements: 'ext="a\\",for=1.1.1.1";for=192.0.2.7' }, "192.0.2.7"],
  ["an unknown one", { elements: "for=192.0.2.7, for=unknown" }, undefined],
  ["a hidden one", { elements: "for=192.0.2.7, for=_hidden" }, undefined],
  ["an element without one", { elements: "for=192.0.2.7, proto=http" }, undefined],
  ["an element with two", { elements: "for=192.0.2.7;for=192.0.2.8" }, undefined],
  ["an open quotation", { elements: 'for="198.51.100.1, for=192.0.2.7' }, undefined],
  ["one that a proxy closes", { elements: 'for=1.1.1.1;a=", for="[2001:db8::7]"' }, undefined],
  ["no value", { elements: "for=" }, undefined],
  ["an empty Forwarded", { elements: "" }, undefined],
  ["more than 4 KiB", { elements: `a="${"b".repeat(4_096)}", for=192.0.2.7` }, undefined],

  ["both, agreed", { list: "192.0.2.7", elements: "for=192.0.2.7" }, "192.0.2.7"],
  ["both, of which one is the caller's", { list: "1.1.1.1", elements: "for=192.0.2.7" }, undefined],
  ["both, of which one is malformed", { list: "192.0.2.7", elements: "for" }, undefined],
];

for (const [title, headers, expected] of CASES) {
  test(`of a trusted proxy, ${title} tells ${expected ?? "nothing"}`, () => {
    assert.equal(decide(headers), expected);
  });
}

test("nobody else is believed", () => {
  for (const peer of ["192.0.2.1", "127.0.0.1", "::1", "::ffff:192.0.2.1", "", "unix"]) {
    assert.equal(decide({ peer, list: "192.0.2.7", elements: "for=192.0.2.7" }), undefined);
  }
  assert.equal(decide({ peer: "::ffff:10.0.0.1", list: "192.0.2.7" }), "192.0.2.7");
});

const outsider = fc.ipV4().filter((ip) => !isTrusted(ip));
const proxy = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.0.${a}.${b}`);
/** Anything that a header may hold. */
const text = fc.oneof(
  fc.string({ unit: "binary-ascii", maxLength: 200 }),
  fc
    .array(fc.constantFrom(...'for=,;"\\ []:.%', "10.0.0.1", "192.0.2.7", "for=", "::1"), {
      maxLength: 60,
    })
    .map((parts) => parts.join("")),
);

test("whatever a caller writes, the address that the first trusted proxy saw stands", () => {
  fc.assert(
    fc.property(text, outsider, fc.array(proxy, { maxLength: 20 }), (forged, caller, proxies) => {
      const list = [forged, caller, ...proxies].join(", ");
      assert.equal(decide({ list }), caller);
      const elements = [forged, `for=${caller}`, ...proxies.map((ip) => `for=${ip}`)].join(", ");
      const told = decide({ elements });
      assert.ok(told === caller || told === undefined, `${elements}: ${told}`);
      const both = decide({ list: forged, elements: `for=${caller}` });
      assert.ok(both === caller || both === undefined, `${forged}: ${both}`);
    }),
    { numRuns: 2_000 },
  );
});

test("nothing that is sent throws, and only addresses are answered", () => {
  fc.assert(
    fc.property(text, text, fc.oneof(text, proxy), (list, elements, peer) => {
      for (const headers of [{ list }, { elements }, { list, elements }]) {
        const told = decide({ ...headers, peer });
        assert.ok(told === undefined || /^[\da-f.:]+$/.test(told));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("long headers take a time in proportion", () => {
  const reads = [
    { list: ",".repeat(64_000) },
    { list: "10.0.0.1,".repeat(7_000) },
    { list: " ".repeat(64_000) },
    { list: "1".repeat(64_000) },
    { list: `[${":".repeat(64_000)}` },
    { elements: 'a="\\'.repeat(1_000) },
    { elements: `for="${"\\a".repeat(2_000)}` },
    { elements: "for=10.0.0.1,".repeat(300) },
    { elements: " ".repeat(4_000) },
  ];
  for (const headers of reads) {
    const start = process.cpuUsage();
    for (let times = 0; times < 100; times++) decide(headers);
    const { user } = process.cpuUsage(start);
    // A second for a hundred; what grows with the square of the length takes minutes.
    assert.ok(user < 1_000_000, `${JSON.stringify(headers).slice(0, 40)}: ${user} us`);
  }
});

test("a network holds the addresses that share its first bits", () => {
  const bits = (ip: string) => ip.split(".").map((one) => Number(one).toString(2).padStart(8, "0"));
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 1, max: 32 }), (ip, network, prefix) => {
      const [a, b] = [ip, network].map((one) => bits(one).join("").slice(0, prefix));
      const known = parseNetwork(`${network}/${prefix}`) as Network;
      assert.equal(createNetworkRule([known])(ip), a === b);
      assert.equal(createNetworkRule([known])(`::ffff:${ip}`), a === b);
      assert.ok(createNetworkRule([known])(network));
    }),
  );
  assert.ok(rule("2001:db8::/32")("2001:DB8:ffff::1%eth0"));
  assert.ok(!rule("2001:db8::/32")("2001:db9::1"));
  assert.ok(!rule("2001:db8::/32")("32.1.13.184"));
});
