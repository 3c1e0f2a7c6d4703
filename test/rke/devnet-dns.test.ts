import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import dnsPacket, { type Question } from "dns-packet";
import { type DnsRecords, startDnsServer } from "../../src/rke/devnet/dns-server.js";
import { openDevnet } from "./devnet-trial.js";

/** A server over this zone, and the system's own resolver that asks it. */
async function openZone(t: TestContext, records: Readonly<Record<string, DnsRecords>>) {
  const zone = new Map(Object.entries(records));
  const server = await startDnsServer({ host: "127.0.0.1", zone });
  t.after(() => server.close());
  return { zone, address: server.address, resolver: resolverOf(server.address) };
}

function resolverOf(address: string): Resolver {
  const resolver = new Resolver();
  resolver.setServers([address]);
  return resolver;
}

/** What is heard of this query over UDP. */
async function exchangeUdp(t: TestContext, address: string, query: Buffer): Promise<Buffer> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  const [host, port] = address.split(":");
  socket.send(query, Number(port), host);
  const [answer] = (await once(socket, "message")) as [Buffer];
  return answer;
}

const queryOf = (question: Question) =>
  dnsPacket.encode({ id: 7, type: "query", questions: [question] });

const failsWith = (code: string) => (error: NodeJS.ErrnoException) => error.code === code;

test("the devnet's domain has the records that an exchange needs", async (t) => {
  const devnet = await openDevnet(t, { domain: "shop.test", minRaidas: 20 });
  const resolver = resolverOf(devnet.dns);
  const [target, port] = ["cs.shop.test", Number(devnet.content.split(":")[1])];
  const [service = assert.fail(), ...others] = await resolver.resolveSrv("_rke._udp.shop.test");
  assert.deepEqual(others, []);
  // Node 24 adds the type of the record.
  const record = { name: target, port, priority: 0, weight: 0, type: "SRV" };
  assert.deepEqual({ ...service, type: "SRV" }, record);
  assert.deepEqual(await resolver.resolve4(target), ["127.0.0.1"]);
  // Longer than an answer by UDP may be, so this comes over TCP.
  const [strings = [], ...more] = await resolver.resolveTxt("_rke._udp.shop.test");
  assert.deepEqual(more, []);
  assert.ok(strings.every((one) => one.length <= 255));
  assert.deepEqual(strings.join("").split("\n"), [
    "k1 = DEVNET",
    ...devnet.raidas.map((address) => `${address} k1`),
    "required raidas>=20",
  ]);
  assert.equal(new Set(devnet.raidas).size, 25);
});

test("every key set is in the text, and in the line of every RAIDA server", async (t) => {
  const secrets = Array.from({ length: 25 }, () => Buffer.alloc(32, 1));
  const keySets = [
    { keyId: 1, csId: "FIRST", secrets },
    { keyId: 7, csId: "SECOND", secrets },
  ];
  const { dns, raidas } = await openDevnet(t, { keySets });
  const [strings = []] = await resolverOf(dns).resolveTxt("_rke._udp.devnet.test");
  const lines = strings.join("").split("\n");
  assert.deepEqual(lines.slice(0, 3), ["k1 = FIRST", "k7 = SECOND", `${raidas[0]} k1 k7`]);
});

test("names are found in any case, and answered in the case that was asked for", async (t) => {
  const { address } = await openZone(t, { "a.test": { a: ["192.0.2.1"] } });
  const { questions, answers } = dnsPacket.decode(
    await exchangeUdp(t, address, queryOf({ type: "A", name: "A.Test" })),
  );
  assert.deepEqual([questions?.[0]?.name, answers?.[0]?.name], ["A.Test", "A.Test"]);
});

test("changes of the zone are heeded at once", async (t) => {
  const { zone, resolver } = await openZone(t, { "a.test": { txt: ["one"] } });
  assert.deepEqual(await resolver.resolveTxt("a.test"), [["one"]]);
  zone.set("a.test", { txt: ["two", "", "x".repeat(256)] });
  assert.deepEqual(await resolver.resolveTxt("a.test"), [["two"], [""], ["x".repeat(255), "x"]]);
});

test("an unknown name is told from one without such records, or with names below it", async (t) => {
  const { resolver } = await openZone(t, {
    "a.b.test": { srv: [{ target: "x.test", port: 1, priority: 0, weight: 0 }] },
  });
  await assert.rejects(resolver.resolveTxt("c.test"), failsWith("ENOTFOUND"));
  await assert.rejects(resolver.resolveTxt("x.a.b.test"), failsWith("ENOTFOUND"));
  await assert.rejects(resolver.resolveTxt("a.b.test"), failsWith("ENODATA"));
  await assert.rejects(resolver.resolveTxt("b.test"), failsWith("ENODATA"));
  await assert.rejects(resolver.resolveMx("a.b.test"), failsWith("ENODATA"));
});

test("an answer of 512 bytes comes by UDP, and a longer one is cut off there", async (t) => {
  const name = "a.test";
  const query = queryOf({ type: "TXT", name });
  for (const [length, isCut] of [
    // 12 for the header, 12 for the question, 18 before the text and 2 string lengths in it.
    [512 - 12 - 12 - 18 - 2, false],
    [512 - 12 - 12 - 18 - 1, true],
  ] as const) {
    const { address } = await openZone(t, { [name]: { txt: ["x".repeat(length)] } });
    const answer = await exchangeUdp(t, address, query);
    const { id, type, flags = 0, answers } = dnsPacket.decode(answer);
    assert.deepEqual([id, type, answers?.length], [7, "response", isCut ? 0 : 1]);
    assert.equal((flags & dnsPacket.TRUNCATED_RESPONSE) !== 0, isCut);
    if (!isCut) assert.equal(answer.length, 512);
  }
});

test("over TCP several queries come in one piece, or one in several", async (t) => {
  const { address } = await openZone(t, { "a.test": { txt: ["text"] } });
  const [host, port] = address.split(":");
  const socket = connect({ host, port: Number(port) });
  t.after(() => socket.destroy());
  const framed = (id: number) =>
    dnsPacket.streamEncode({ id, type: "query", questions: [{ type: "TXT", name: "a.test" }] });
  const queries = Buffer.concat([framed(1), framed(2), framed(3)]);
  const cut = queries.length - 9;
  socket.write(queries.subarray(0, cut));
  let received: Buffer = Buffer.alloc(0);
  const ids: unknown[] = [];
  for await (const bytes of socket as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, bytes]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE()) {
      const end = 2 + received.readUInt16BE();
      ids.push(dnsPacket.streamDecode(received.subarray(0, end)).id);
      received = received.subarray(end);
    }
    if (ids.length === 2) socket.write(queries.subarray(cut));
    if (ids.length === 3) break;
  }
  assert.deepEqual(ids, [1, 2, 3]);
});

test("what is no query is dropped, and the server answers on", async (t) => {
  const { address, resolver } = await openZone(t, { "a.test": { txt: ["text"] } });
  const [host, port] = address.split(":");
  const response = dnsPacket.encode({ type: "response", id: 1 });
  const udp = createSocket("udp4");
  t.after(() => udp.close());
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(5), Buffer.alloc(600, 0xff), response]) {
    udp.send(bytes, Number(port), host);
    const tcp = connect({ host, port: Number(port) });
    const framed = Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);
    tcp.end(framed).resume();
    await once(tcp, "close");
  }
  assert.deepEqual(await resolver.resolveTxt("a.test"), [["text"]]);
});
