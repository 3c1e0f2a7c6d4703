import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { JSON_TYPE, openRest, type Rest, type RestBody } from "../../support/transports/rest.js";
import { assertAnswer } from "../../support/transports/rest-trial.js";
import { startServer, type TestServer } from "../../support/transports/server.js";

const TOKEN = "x".repeat(64);
const JSON_BODY = "application/json";
const NO_D = '{"name":"missingParameter","message":"No d supplied"}';

/** Bodies that are refused before an endpoint sees them. */
const BODIES: readonly [title: string, body: RestBody, status: number][] = [
  ["half an object", { content: '{"a":', type: JSON_BODY }, 400],
  ["no JSON", { content: "a=1", type: JSON_BODY }, 400],
  ["single quotes", { content: "{'a':1}", type: JSON_BODY }, 400],
  ["text after the JSON", { content: '{"a":1}x', type: JSON_BODY }, 400],
  [
    "bytes that are not UTF-8",
    { content: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), type: JSON_BODY },
    400,
  ],
  [
    "a lone surrogate in UTF-8",
    { content: Buffer.from('{"a":"\xed\xa0\x80"}', "latin1"), type: JSON_BODY },
    400,
  ],
  ["a lone surrogate, escaped", { content: '{"a":"\\ud800"}', type: JSON_BODY }, 400],
  ["a key with a lone surrogate", { content: '{"\\udc00":1}', type: JSON_BODY }, 400],
  ["a number beyond all numbers", { content: '{"a":1e400}', type: JSON_BODY }, 400],
  [
    "10,000 levels",
    { content: `{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`, type: JSON_BODY },
    400,
  ],

  ["60,001 bytes", { content: `{"a":"${"x".repeat(59_993)}"}`, type: JSON_BODY }, 413],
  ["60,001 bytes of blanks", { content: " ".repeat(60_001), type: JSON_BODY }, 413],
  ["2 MB", { content: `{"a":"${"x".repeat(2_000_000)}"}`, type: JSON_BODY }, 413],
];

/** Content types that are not JSON's: such a body is as good as none. */
const OTHER_TYPES = [
  undefined,
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/octet-stream",
  "application/vnd.api+json",
  "text/json",
  "json",
  "application/",
  ";",
  "",
];

const JSON_TYPES = [
  "application/json",
  "Application/JSON",
  "application/json; charset=utf-8",
  "application/json;charset=UTF-8",
];

describe("bodies sent to the rest-sessions endpoints", () => {
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

  for (const [title, body, status] of BODIES) {
    test(`a body is refused: ${title}`, async () => {
      for (const [method, path] of [
        ["POST", `/shop/set/${TOKEN}`],
        ["PUT", "/shop/create/ann?ip=1"],
      ] as const) {
        const answer = await rest.call(method, path, body);
        assert.equal(answer.status, status, answer.text);
        assert.equal(answer.headers["content-type"], JSON_TYPE);
        const error = JSON.parse(answer.text) as Record<string, unknown>;
        assert.deepEqual(Object.keys(error), ["name", "message"]);
      }
      assertAnswer(await rest.call("GET", "/ping"), "PONG");
    });
  }

  for (const type of OTHER_TYPES) {
    test(`a body that is not JSON by its type is ignored: ${JSON.stringify(type)}`, async () => {
      const body = { content: '{"a":1}', ...(type === undefined ? {} : { type }) };
      const created = await rest.call("PUT", "/shop/create/ann?ip=1", body);
      assert.match(created.text, /^{"token":"\w{64}"}$/);
      const { token } = JSON.parse(created.text) as { token: string };
      const set = await rest.call("POST", `/shop/set/${token}`, body);
      assertAnswer(set, NO_D, 400);
      const got = await rest.call("GET", `/shop/get/${token}`);
      assert.equal(got.text.includes('"d"'), false);
    });
  }

  for (const type of JSON_TYPES) {
    test(`a body is JSON by its type: ${type}`, async () => {
      const body = { content: '{"a":1}', type };
      const created = await rest.call("PUT", "/shop/create/ann?ip=1", body);
      const { token } = JSON.parse(created.text) as { token: string };
      assert.match((await rest.call("GET", `/shop/get/${token}`)).text, /"d":{"a":1}}$/);
    });
  }

  test("a body of 60,000 bytes is taken", async () => {
    const body = { content: `{"a":"${"한".repeat(19_997)}x"}`, type: JSON_BODY };
    assert.equal(Buffer.byteLength(body.content), 60_000);
    const created = await rest.call("PUT", "/shop/create/ann?ip=1", body);
    const { token } = JSON.parse(created.text) as { token: string };
    assert.equal((await rest.call("POST", `/shop/set/${token}`, body)).status, 200);
  });

  test("no error and no log line shows a token", () => {
    assert.ok(server.log.length > 20, "the calls were not logged");
    assert.doesNotMatch(server.log.join(""), /[A-Za-z0-9]{60}|call failed/);
  });
});
