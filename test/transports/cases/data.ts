import assert from "node:assert/strict";
import type { JsonObject } from "@bufbuild/protobuf";
import { type Case, invalid, type Trial } from "../../support/transports/case.js";

const USER_IDS = {
  "an e-mail address": "user@example.com",
  "colon, slash and blank": "a:b/c d",
  Korean: "김민준",
  "an emoji": "👩‍💻🔑",
  "quotes and percent": `x' OR "1"='1 %00 %2F`,
  "a property of objects": "__proto__",
};

const DATAS: Readonly<Record<string, string>> = {
  "an empty key": '{"":1,"a":{"":[""]}}',
  "a key named __proto__": '{"__proto__":{"admin":true},"constructor":1,"a":{"__proto__":[null]}}',
  "NUL and other controls": '{"a\\u0000b":"\\u0000","c":"\\u001f\\u007f\\u2028"}',
  "every kind of value": '{"t":true,"f":false,"i":-1,"d":0.1,"e":1e+300,"a":[null,[],{}],"s":""}',
  "keys like numbers": '{"1":"a","2":"b","01":"c","-1":"d"}',
  "letters beyond ASCII": '{"이름":"김","🔑":"é e\\u0301"}',
};

/** Asserts that every answer that has the session shows its data as `text`. */
async function assertData({ client, app, add }: Trial, text: string): Promise<void> {
  const parse = () => JSON.parse(text) as JsonObject;
  const { token, session } = await add({ data: parse() });
  const updatable = await add();
  const update = { app, token: updatable.token, data: parse() };
  const answers = [
    { session },
    await client.getSession({ app, token }),
    await client.getSession({ app, token, peek: true }),
    await client.updateSession(update),
    await client.getSession({ app, token: updatable.token }),
    ...(await client.listSessions({ app })).sessions.map((listed) => ({ session: listed })),
  ];
  assert.equal(answers.length, 7);
  for (const answer of answers) {
    assert.equal(JSON.stringify(answer.session?.data), JSON.stringify(parse()));
  }
  assert.equal("admin" in {}, false, "a prototype was changed");
}

/** Asserts that every way to name a user finds this one and no other. */
async function assertUser({ client, app, add }: Trial, userId: string): Promise<void> {
  const [{ session }] = [await add({ userId }), await add({ userId: `${userId}:` })];
  assert.equal(session.userId, userId);
  const { sessions } = await client.listUserSessions({ app, userId });
  assert.deepEqual(
    sessions.map((listed) => listed.userId),
    [userId],
  );
  const { deletedCount } = await client.deleteUserSessions({ app, userId });
  assert.equal(deletedCount, 1n);
}

/** Data of so many levels, objects and arrays by turns. */
function nest(levels: number): JsonObject {
  let inner: JsonObject = {};
  for (let level = levels; level > 2; level -= 2) inner = { a: [inner] };
  return levels % 2 ? inner : { a: inner };
}

/** `{"a":"…"}` of so many bytes as JSON, most of the letters of three bytes. */
function fill(bytes: number): JsonObject {
  const text = bytes - 8;
  return { a: "한".repeat(Math.floor(text / 3)) + "x".repeat(text % 3) };
}

const sizes: readonly Case[] = [
  {
    title: "data of 60,000 bytes is kept",
    async holds({ client, app, add }) {
      const { token } = await add({ data: fill(60_000) });
      assert.deepEqual((await client.getSession({ app, token })).session?.data, fill(60_000));
      await client.updateSession({ app, token, data: fill(60_000) });
    },
  },
  {
    title: "data of 60,001 bytes is not created",
    storeless: true,
    refused: invalid("data"),
    send: ({ add }) => add({ data: fill(60_001) }),
  },
  {
    title: "data of 60,001 bytes is not set",
    refused: invalid("data"),
    async send({ client, app, add }) {
      const { token } = await add();
      await client.updateSession({ app, token, data: fill(60_001) });
    },
  },
  {
    title: "data nested 32 levels is kept",
    async holds({ client, app, add }) {
      const { token } = await add({ data: nest(32) });
      assert.deepEqual((await client.getSession({ app, token })).session?.data, nest(32));
      await client.updateSession({ app, token, data: nest(31) });
    },
  },
  {
    title: "data nested 33 levels is not created",
    storeless: true,
    refused: invalid("data"),
    send: ({ add }) => add({ data: nest(33) }),
  },
  {
    title: "data nested 33 levels is not set",
    refused: invalid("data"),
    async send({ client, app, add }) {
      const { token } = await add();
      await client.updateSession({ app, token, data: nest(33) });
    },
  },
];

const numbersAndText: readonly Case[] = [
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(
    (value): Case => ({
      title: `data with ${value} is refused`,
      // JSON has no such number.
      wires: ["gRPC", "Connect binary", "gRPC-Web"],
      storeless: true,
      refused: invalid("data"),
      send: ({ add }) => add({ data: { a: [value] } }),
    }),
  ),
  ...[{ a: "\ud800" }, { a: ["x\udfffx"] }, { "\ud800": 1 }, { a: { "\udc00": 1 } }].map(
    (data): Case => ({
      title: `data with a lone surrogate is refused: ${JSON.stringify(data)}`,
      // Of the clients, only JSON's sends one; the others replace it.
      wires: ["Connect JSON"],
      storeless: true,
      refused: invalid("data"),
      send: ({ add }) => add({ data }),
    }),
  ),
];

export const data: readonly Case[] = [
  ...Object.entries(USER_IDS).map(
    ([name, userId]): Case => ({
      title: `a user_id is kept to the letter: ${name}`,
      holds: (trial) => assertUser(trial, userId),
    }),
  ),
  ...Object.entries(DATAS).map(
    ([name, text]): Case => ({
      title: `data is kept to the letter: ${name}`,
      holds: (trial) => assertData(trial, text),
    }),
  ),
  ...sizes,
  ...numbersAndText,
];
