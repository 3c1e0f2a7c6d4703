import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ExchangeError } from "../../src/domain/rke/key-exchange.js";
import { createDiscovery, type DiscoveryOptions } from "../../src/rke/discovery.js";
import { RCODE, type Reply, startDns } from "./dns-server.js";

const DOMAIN = "content.example.com";
const NAME = `_rke._udp.${DOMAIN}`;

const SERVERS = Array.from({ length: 25 }, (_, at) => `10.0.0.${at + 1}:50000 k1`);
const TEXT = ["k1 = EXAMPLE_SERVER", ...SERVERS, "required raidas>=13"].join("\n");

const srv = (target: string, priority = 0, weight = 0) => ({
  type: "SRV" as const,
  name: NAME,
  ttl: 60,
  data: { target, port: 50_100, priority, weight },
});

/** A TXT record of strings of at most 255 bytes, as DNS has them. */
const txt = (text: string) => ({
  type: "TXT" as const,
  name: NAME,
  ttl: 60,
  data: text.match(/.{1,255}/gs) ?? [""],
});

/** Answers the records of the Content Server's name, and that other names do not exist. */
const recordsOf =
  (srvs: Reply, txts: Reply) =>
  (type: string, name: string): Reply => {
    if (name === DOMAIN) return [];
    if (name !== NAME) return RCODE.nxdomain;
    return type === "SRV" ? srvs : txts;
  };

async function createTrial(
  t: TestContext,
  reply: (type: string, name: string) => Reply,
  options: Partial<DiscoveryOptions> = {},
) {
  const skipped: string[] = [];
  const discovery = createDiscovery({
    resolvers: [await startDns(t, reply)],
    raidaNumbers: null,
    deadline: 20_000,
    random: () => 0,
    onSkipped: (domain, line) => skipped.push(`${domain}: ${line}`),
    ...options,
  });
  return { ...discovery, skipped };
}

async function failureOf(run: Promise<unknown>): Promise<ExchangeError> {
  const failure = await run.catch((error: unknown) => error);
  assert.ok(failure instanceof ExchangeError, String(failure));
  assert.match(failure.message, /^DNS discovery failed: /);
  return failure;
}

test("a domain's Content Server is what its SRV and TXT records say", async (t) => {
  const reply = recordsOf([srv("far.example.com", 20), srv("cs.example.com", 10)], [txt(TEXT)]);
  const { lookUp } = await createTrial(t, reply);
  const { contentServer, keySet, servers } = await lookUp(DOMAIN);
  assert.deepEqual(contentServer, {
    domain: DOMAIN,
    targetHost: "cs.example.com",
    targetPort: 50_100,
    minRaidasRequired: 13,
    keySets: [{ keyId: 1, csId: "EXAMPLE_SERVER", serverCount: 25 }],
  });
  assert.deepEqual(keySet, contentServer.keySets[0]);
  assert.deepEqual(
    servers.map(({ raida, address, port }) => [raida, address, port]),
    Array.from({ length: 25 }, (_, at) => [at, `10.0.0.${at + 1}`, 50_000]),
  );
});

test("the first key set that has enough servers is used, and only its servers", async (t) => {
  const lines = ["k3 = C", "k2 = B", "k1 = A", "required raidas>=2"];
  const servers = ["10.0.0.1:1 k1 k3", "10.0.0.2:1 k2 k3", "10.0.0.3:1 k2"];
  const reply = recordsOf([srv("cs")], [txt([...lines, ...servers].join("\n"))]);
  const found = await (await createTrial(t, reply)).lookUp(DOMAIN);
  assert.deepEqual(found.keySet, { keyId: 2, csId: "B", serverCount: 2 });
  assert.deepEqual(
    found.servers.map(({ raida }) => raida),
    [1, 2],
  );
  assert.deepEqual(
    found.contentServer.keySets.map(({ keyId, serverCount }) => [keyId, serverCount]),
    [
      [1, 1],
      [2, 2],
      [3, 2],
    ],
  );
});

test("where nothing is required, most of the 25 servers are", async (t) => {
  const text = ["k1 = A", ...SERVERS].join("\n");
  const { lookUp } = await createTrial(t, recordsOf([srv("cs")], [txt(text)]));
  assert.equal((await lookUp(DOMAIN)).contentServer.minRaidasRequired, 13);
});

test("a file of numbers decides them, and leaves out servers that it does not name", async (t) => {
  const raidaNumbers = new Map([
    ["10.0.0.1 50000", 24],
    ["10.0.0.2 50000", 0],
  ]);
  const text = TEXT.replace(">=13", ">=2");
  const { lookUp, skipped } = await createTrial(t, recordsOf([srv("cs")], [txt(text)]), {
    raidaNumbers,
  });
  const { servers, keySet } = await lookUp(DOMAIN);
  assert.deepEqual(
    servers.map(({ raida, address }) => [raida, address]),
    [
      [24, "10.0.0.1"],
      [0, "10.0.0.2"],
    ],
  );
  assert.equal(keySet.serverCount, 2);
  assert.equal(skipped.length, 23);
});

test("a line that fits none is reported with its domain, the rest is used", async (t) => {
  const reply = recordsOf([srv("cs")], [txt(`what is this\n${TEXT}`)]);
  const { lookUp, skipped } = await createTrial(t, reply);
  assert.equal((await lookUp(DOMAIN)).servers.length, 25);
  assert.deepEqual(skipped, [`${DOMAIN}: what is this`]);
});

for (const [what, reason, srvs, txts, problem] of [
  ["without an SRV record", "no_srv", [], [txt(TEXT)], /has no SRV record/],
  ["whose name for it does not exist", "no_srv", RCODE.nxdomain, RCODE.nxdomain, /no SRV/],
  ["that says there is no service", "no_srv", [srv(".")], [txt(TEXT)], /has no SRV record/],
  ["without a TXT record", "no_txt", [srv("cs")], [], /has no TXT record/],
  ["without a key set", "no_usable_key_set", [srv("cs")], [txt("?")], /name no key set/],
  [
    "without servers enough",
    "no_usable_key_set",
    [srv("cs")],
    [txt(TEXT.replace("10.0.0.1:50000 k1", "").replace(">=13", ">=25"))],
    /25 RAIDA servers that are required: k1 has 24/,
  ],
  ["whose DNS server fails", "dns_failed", RCODE.servfail, RCODE.servfail, /no answer.*ESERVFAIL/],
  ["whose DNS server refuses", "dns_failed", RCODE.refused, RCODE.refused, /no answer.*EREFUSED/],
  ["whose TXT records fail", "dns_failed", [srv("cs")], RCODE.servfail, /no answer/],
] satisfies [string, string, Reply, Reply, RegExp][]) {
  test(`a domain ${what} is ${reason}`, async (t) => {
    const { lookUp } = await createTrial(t, recordsOf(srvs, txts));
    const failure = await failureOf(lookUp(DOMAIN));
    assert.equal(failure.reason, reason);
    assert.match(failure.message, problem);
  });
}

test("a domain that does not exist is no_such_domain", async (t) => {
  const { lookUp } = await createTrial(t, () => RCODE.nxdomain);
  assert.equal((await failureOf(lookUp("nothing.example.com"))).reason, "no_such_domain");
});

for (const domain of [
  "",
  ".",
  "a..b",
  "a b",
  "a.b\0",
  "é.example.com",
  "a".repeat(64),
  `${"a.".repeat(130)}b`,
]) {
  test(`${JSON.stringify(domain.slice(0, 70))} is no domain, and DNS is not asked`, async (t) => {
    const { lookUp } = await createTrial(t, () => assert.fail("asked"));
    assert.equal((await failureOf(lookUp(domain))).reason, "no_such_domain");
  });
}

test("a DNS server that is silent is waited for until the deadline", async (t) => {
  const { lookUp } = await createTrial(t, () => "silent", { deadline: 100 });
  const failure = await failureOf(lookUp(DOMAIN));
  assert.equal(failure.reason, "dns_failed");
  assert.match(failure.message, /no answer about content.example.com within 100 ms/);
});
