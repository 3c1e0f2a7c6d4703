import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { JSON_TYPE, openRest, type Rest } from "../../support/transports/rest.js";
import { assertAnswer } from "../../support/transports/rest-trial.js";
import { startServer, type TestServer } from "../../support/transports/server.js";

const TOKEN = "x".repeat(64);
const JSON_BODY = "application/json";

const missing = (item: string) =>
  `{"name":"missingParameter","message":"No ${item} supplied"}` as const;
const format = (item: string) =>
  `{"name":"invalidFormat","message":"Invalid ${item} format"}` as const;
const value = (message: string) => `{"name":"invalidValue","message":"${message}"}` as const;
const UNDER_TEN = value("ttl must be a positive integer >= 10");
const OVER = value("ttl must be a positive integer <= 2147483647");
const NO_OBJECT = value("d must be an object");
const NO_KEY = value("d must containt at least one key.");
const forbidden = (key: string) =>
  value(`d.${key} has a forbidden type. Only strings, numbers, boolean and null are allowed.`);

/** Requests that are refused with status 400, and the text of the refusal. */
const REFUSALS: readonly [
  title: string,
  method: string,
  path: string,
  text: string,
  content?: string,
][] = [
  ["create without ip", "PUT", "/shop/create/ann", missing("ip")],
  ["create with an empty ip", "PUT", "/shop/create/ann?ip=", missing("ip")],
  ["create without app", "PUT", "//create/ann?ip=1", missing("app")],
  ["get without app", "GET", `//get/${TOKEN}`, missing("app")],
  ["set without a body", "POST", `/shop/set/${TOKEN}`, missing("d")],
  ["set with an empty body", "POST", `/shop/set/${TOKEN}`, missing("d"), ""],

  ["an app of 2 characters", "PUT", "/ab/create/ann?ip=1", format("app")],
  ["an app of 21 characters", "GET", `/${"x".repeat(21)}/soid/ann`, format("app")],
  ["an app with a dot", "GET", "/a.b.c/activity?dt=60", format("app")],
  ["an app with a blank, to soapp", "GET", "/sh%20op/soapp?dt=60", format("app")],
  ["a wrong app, to get", "GET", `/a!pp/get/${TOKEN}`, format("app")],
  ["a wrong app, to set", "POST", `/a!pp/set/${TOKEN}`, format("app"), '{"a":1}'],
  ["a wrong app, to kill", "DELETE", `/a!pp/kill/${TOKEN}`, format("app")],
  ["a wrong app, to killsoid", "DELETE", "/a!pp/killsoid/ann", format("app")],
  ["a wrong app, to killall", "DELETE", "/a!pp/killall", format("app")],
  ["an id of 129 characters", "PUT", `/shop/create/${"x".repeat(129)}?ip=1`, format("id")],
  ["an id with NUL", "PUT", "/shop/create/a%00?ip=1", format("id")],
  ["an id with a line break, to soid", "GET", "/shop/soid/a%0Ab", format("id")],
  ["an id with a control, to killsoid", "DELETE", "/shop/killsoid/%C2%85", format("id")],
  ["an ip of 40 characters", "PUT", `/shop/create/ann?ip=${"1".repeat(40)}`, format("ip")],
  ["an ip with a line break", "PUT", "/shop/create/ann?ip=1%0A", format("ip")],
  ["a token of 63 characters", "GET", `/shop/get/${TOKEN.slice(1)}`, format("token")],
  ["a token of 65 characters", "GET", `/shop/get/${TOKEN}x`, format("token")],
  ["a token with a dash", "DELETE", `/shop/kill/${TOKEN.slice(1)}-`, format("token")],
  ["a wrong token, to set", "POST", "/shop/set/x", format("token"), '{"a":1}'],

  ["a ttl of 9", "PUT", "/shop/create/ann?ip=1&ttl=9", UNDER_TEN],
  ["a ttl of 0", "PUT", "/shop/create/ann?ip=1&ttl=0", UNDER_TEN],
  ["a ttl below 0", "PUT", "/shop/create/ann?ip=1&ttl=-10", UNDER_TEN],
  ["a ttl with a fraction", "PUT", "/shop/create/ann?ip=1&ttl=10.5", UNDER_TEN],
  ["a ttl in words", "PUT", "/shop/create/ann?ip=1&ttl=ten", UNDER_TEN],
  ["a ttl with an exponent", "PUT", "/shop/create/ann?ip=1&ttl=1e3", UNDER_TEN],
  ["a ttl over the largest", "PUT", "/shop/create/ann?ip=1&ttl=2147483648", OVER],
  ["activity without dt", "GET", "/shop/activity", UNDER_TEN],
  ["activity with a dt of 9", "GET", "/shop/activity?dt=9", UNDER_TEN],
  ["soapp without dt", "GET", "/shop/soapp", UNDER_TEN],
  ["soapp with a dt of 9", "GET", "/shop/soapp?dt=9", UNDER_TEN],
  ["soapp with a dt in words", "GET", "/shop/soapp?dt=x", UNDER_TEN],

  ["set of an array", "POST", `/shop/set/${TOKEN}`, NO_OBJECT, "[1]"],
  ["set of a text", "POST", `/shop/set/${TOKEN}`, NO_OBJECT, '"a"'],
  ["set of a number", "POST", `/shop/set/${TOKEN}`, NO_OBJECT, "1"],
  ["set of no key", "POST", `/shop/set/${TOKEN}`, NO_KEY, "{}"],
  ["set of an object", "POST", `/shop/set/${TOKEN}`, forbidden("a"), '{"x":1,"a":{}}'],
  ["set of an array in d", "POST", `/shop/set/${TOKEN}`, forbidden("b"), '{"b":[1]}'],
  ["set of a prototype", "POST", `/shop/set/${TOKEN}`, forbidden("__proto__"), '{"__proto__":{}}'],
  ["create with an array", "PUT", "/shop/create/ann?ip=1", NO_OBJECT, "[1]"],
  ["create with a nested d", "PUT", "/shop/create/ann?ip=1", forbidden("a"), '{"a":{"b":1}}'],

  // One thing after the other: the first that is wrong is named.
  ["app before id", "PUT", "/!/create/%00", format("app")],
  ["id before ip", "PUT", "/shop/create/%00", format("id")],
  ["ip before ttl", "PUT", "/shop/create/ann?ttl=1", missing("ip")],
  ["ttl before d", "PUT", "/shop/create/ann?ip=1&ttl=1", UNDER_TEN, "[1]"],
  ["app before token", "GET", "/!/get/x", format("app")],
  ["token before d", "POST", "/shop/set/x", format("token"), "[1]"],
  ["app before dt", "GET", "/!/activity?dt=1", format("app")],
  ["app before id, to soid", "GET", "/!/soid/%00", format("app")],
];

describe("the errors of the rest-sessions endpoints", () => {
  let server: TestServer;
  let rest: Rest;
  before(async () => {
    server = await startServer("memory", "trace");
    rest = openRest(server.http);
  });
  after(async () => {
    rest.close();
    await server.close();
  });

  for (const [title, method, path, text, content] of REFUSALS) {
    test(`is refused in its order and words: ${title}`, async () => {
      const body = content === undefined ? undefined : { content, type: JSON_BODY };
      assertAnswer(await rest.call(method, path, body), text, 400);
    });
  }

  test("the limits of ttl and dt are within", async () => {
    for (const seconds of [10, 2 ** 31 - 1]) {
      const created = await rest.call("PUT", `/shop/create/ann?ip=1&ttl=${seconds}`);
      const { token } = JSON.parse(created.text) as { token: string };
      const { text } = await rest.call("GET", `/shop/get/${token}`);
      assert.match(text, new RegExp(`"ttl":${seconds},`));
      assert.equal((await rest.call("GET", `/shop/soapp?dt=${seconds}`)).status, 200);
      assert.equal((await rest.call("GET", `/shop/activity?dt=${seconds}`)).status, 200);
    }
  });

  test("an id of any length is refused as an id", async () => {
    for (const id of ["x".repeat(1_537), "x".repeat(8_000), "%F0%9F%94%91".repeat(200)]) {
      const answer = await rest.call("PUT", `/shop/create/${id}?ip=1`);
      assertAnswer(answer, format("id"), 400);
    }
  });

  test("a slash at the end of a path makes no difference", async () => {
    const { text } = await rest.call("PUT", "/shop/create/ann/?ip=::1");
    const { token } = JSON.parse(text) as { token: string };
    assert.match((await rest.call("GET", `/shop/get/${token}/`)).text, /^{"id":"ann"/);
  });

  test("a path or method that is not of the endpoints is 404, in JSON", async () => {
    for (const [method, path] of [
      ["GET", "/"],
      ["GET", "/nothing"],
      ["GET", "/shop/nothing/x"],
      ["GET", "/shop/create/ann"],
      ["POST", `/shop/get/${TOKEN}`],
      ["DELETE", "/shop/killall/x"],
      ["PATCH", "/ping"],
      ["GET", "/shop/get/a/b"],
      ["PUT", "/shop/create/?ip=1"],
    ] as const) {
      const answer = await rest.call(method, path);
      assert.equal(answer.status, 404, path);
      assert.equal(answer.headers["content-type"], JSON_TYPE);
      assert.deepEqual(Object.keys(JSON.parse(answer.text)), ["name", "message"]);
    }
  });

  for (const path of ["%", "%E0%A4%A", "%zz", "%ff", "%C0%AF", "%ED%A0%80", `${TOKEN}%`]) {
    test(`a path whose percent-encoding is wrong is 400 and not repeated: ${path}`, async () => {
      for (const [method, before] of [
        ["GET", "/shop/soid/"],
        ["GET", "/shop/get/"],
        ["DELETE", "/shop/kill/"],
      ] as const) {
        const answer = await rest.call(method, `${before}${path}`);
        assert.equal(answer.status, 400);
        assert.equal(answer.headers["content-type"], JSON_TYPE);
        assert.deepEqual(Object.keys(JSON.parse(answer.text)), ["name", "message"]);
        // What could not be decoded may be a token.
        assert.equal(answer.text.includes(`${before}${path}`), false, answer.text);
      }
    });
  }

  test("no error and no log line shows a token", () => {
    assert.ok(server.log.length > 20, "the calls were not logged");
    assert.doesNotMatch(server.log.join(""), /[A-Za-z0-9]{60}|call failed/);
  });
});
