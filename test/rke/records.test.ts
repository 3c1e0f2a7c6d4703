import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseSrv, parseRaidaNumbers, parseRecords, type Srv } from "../../src/rke/records.js";

/** What a text says, and the lines of it that are skipped. */
function parse(...records: (string | string[])[]) {
  const skipped: string[] = [];
  const { keySets, servers, requiredRaidas } = parseRecords(
    records.map((record) => [record].flat()),
    (line) => skipped.push(line),
  );
  return { keySets: [...keySets], servers, requiredRaidas, skipped };
}

test("the lines of the description are read", () => {
  assert.deepEqual(
    parse(
      "k1 = SERVER_ID\nk2 = OTHER\n192.168.1.1:50000 k1 k2\n192.168.1.2:50001 k2\nrequired raidas>=13\nchallenge = abc",
    ),
    {
      keySets: [
        [1, "SERVER_ID"],
        [2, "OTHER"],
      ],
      servers: [
        { position: 0, address: "192.168.1.1", port: 50_000, keyIds: [1, 2] },
        { position: 1, address: "192.168.1.2", port: 50_001, keyIds: [2] },
      ],
      requiredRaidas: 13,
      skipped: [],
    },
  );
});

test("keywords are read in any case, spaces do not matter, and an id keeps its case", () => {
  const { keySets, servers, requiredRaidas, skipped } = parse(
    "K1=Id\r\n\r\n  10.0.0.1:1  K1\t\nREQUIRED   Raidas >= 5\nChallenge=",
  );
  assert.deepEqual(keySets, [[1, "Id"]]);
  assert.deepEqual(servers, [{ position: 0, address: "10.0.0.1", port: 1, keyIds: [1] }]);
  assert.equal(requiredRaidas, 5);
  assert.deepEqual(skipped, []);
});

test("a record's strings are joined, and several records are pieces of the same text", () => {
  const { keySets, servers } = parse(["k1 = SERV", "ER_ID\n10.0.0.1:50", "000 k1"], "k2 = B");
  assert.deepEqual(keySets, [
    [1, "SERVER_ID"],
    [2, "B"],
  ]);
  assert.equal(servers[0]?.port, 50_000);
});

test("an IPv6 address stands in brackets", () => {
  assert.deepEqual(parse("[2001:DB8::1]:50000 k1").servers, [
    { position: 0, address: "2001:db8::1", port: 50_000, keyIds: [1] },
  ]);
});

for (const line of [
  "nonsense",
  "k1 =",
  "k1 = SEVENTEEN_LETTERS",
  "k1 = two words",
  "k1 = é",
  "k256 = A",
  "k = A",
  "1.2.3:50000 k1",
  "1.2.3.256:50000 k1",
  "1.2.3.4 k1",
  "1.2.3.4:0 k1",
  "1.2.3.4:65536 k1",
  "1.2.3.4:50000 k256",
  "1.2.3.4:50000 k1,k2",
  "raida.example.com:50000 k1",
  "[::1:50000 k1",
  "[1.2.3.4]:50000 k1",
  "required raidas>=0",
  "required raidas>=26",
  "required raidas>13",
  "required raidas>=1e1",
  "challenge",
]) {
  test(`the line "${line}" is skipped and reported`, () => {
    assert.deepEqual(parse(line), {
      keySets: [],
      servers: [],
      requiredRaidas: undefined,
      skipped: [line],
    });
  });
}

test("a key set keeps the id that it was given first", () => {
  const { keySets, skipped } = parse("k1 = A\nk1 = B");
  assert.deepEqual(keySets, [[1, "A"]]);
  assert.deepEqual(skipped, ["k1 = B"]);
});

test("of several lines the greatest number is required, in whatever order DNS answers", () => {
  assert.equal(parse("required raidas>=13", "required raidas>=5").requiredRaidas, 13);
  assert.equal(parse("required raidas>=5", "required raidas>=13").requiredRaidas, 13);
});

test("a server listed again counts once, and those after it keep their numbers", () => {
  const { servers, skipped } = parse("10.0.0.1:1 k1\n10.0.0.1:1 k2\n10.0.0.2:1 k1");
  assert.deepEqual(
    servers.map(({ position, address }) => [position, address]),
    [
      [0, "10.0.0.1"],
      [2, "10.0.0.2"],
    ],
  );
  assert.deepEqual(skipped, ["10.0.0.1:1 k2"]);
});

test("there are no more than 25 servers", () => {
  const lines = Array.from({ length: 30 }, (_, at) => `10.0.0.${at}:1 k1`);
  const { servers, skipped } = parse(lines.join("\n"));
  assert.equal(servers.length, 25);
  assert.deepEqual(skipped, lines.slice(25));
});

const srv = (name: string, priority: number, weight: number): Srv => ({
  name,
  port: 1,
  priority,
  weight,
});

test("the SRV record of the lowest priority is used", () => {
  const records = [srv("b", 20, 100), srv("a", 10, 0), srv("c", 30, 100)];
  assert.equal(chooseSrv(records, () => 0.999)?.name, "a");
});

test("among SRV records of one priority the weight decides how often each is used", () => {
  const records = [srv("a", 1, 1), srv("b", 1, 3), srv("none", 1, 0)];
  const chosen = [0, 0.2, 0.25, 0.5, 0.999].map((x) => chooseSrv(records, () => x)?.name);
  assert.deepEqual(chosen, ["a", "a", "b", "b", "b"]);
});

test("SRV records without weights and no records at all can be chosen from", () => {
  assert.equal(chooseSrv([srv("a", 1, 0), srv("b", 1, 0)], () => 0.9)?.name, "b");
  assert.equal(
    chooseSrv([], () => 0),
    undefined,
  );
});

test("a file of RAIDA numbers is read", () => {
  const numbers = parseRaidaNumbers("# ours\n0 10.0.0.1:50000\r\n\n 24\t[::1]:1 \n");
  assert.deepEqual(
    [...numbers],
    [
      ["10.0.0.1 50000", 0],
      ["::1 1", 24],
    ],
  );
});

for (const [what, text, line] of [
  ["a number over 24", "25 10.0.0.1:1", 1],
  ["no number", "10.0.0.1:1", 1],
  ["a host name", "0 10.0.0.1:1\n1 raida.example.com:1", 2],
  ["key sets", "1 10.0.0.1:1 k1", 1],
  ["a number twice", "1 10.0.0.1:1\n1 10.0.0.2:1", 2],
  ["an address twice", "1 10.0.0.1:1\n2 10.0.0.1:1", 2],
] as const) {
  test(`a file of RAIDA numbers with ${what} is refused by its line`, () => {
    assert.throws(() => parseRaidaNumbers(text), new RegExp(`line ${line} must be`));
  });
}
