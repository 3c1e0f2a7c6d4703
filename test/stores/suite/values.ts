import assert from "node:assert/strict";
import fc from "fast-check";
import { checkUserId } from "../../../src/domain/limits.js";
import type { JsonObject } from "../../../src/lib/json.js";
import {
  type Case,
  createTrial,
  listAll,
  NOW,
  type OpenStore,
  runs,
  type Trial,
  withStore,
} from "../../support/stores/fixture.js";

const USER_IDS = {
  "an e-mail address": "user@example.com",
  "colon, slash and blank": "a:b/c d",
  Korean: "김민준",
  "an emoji": "👩‍💻🔑",
  "quotes and SQL": `x' OR "1"='1`,
  "glob letters": "*?[a]",
  "a property of objects": "__proto__",
  "the longest": "한".repeat(128),
};

const DATAS: Record<string, string> = {
  nothing: "{}",
  "an empty key": '{"":1,"a":{"":[""]}}',
  "a key named __proto__": '{"__proto__":{"admin":true},"constructor":1,"a":{"__proto__":null}}',
  "NUL and other controls": '{"a\\u0000b":"\\u0000","c":"\\u001f\\u007f\\u2028"}',
  "every kind of value": '{"n":null,"t":true,"f":false,"i":-1,"d":0.1,"e":1e+300,"a":[[],{}]}',
  "keys like numbers": '{"1":"a","01":"b","-1":"c","2":"d"}',
  "letters beyond ASCII": '{"이름":"김","🔑":"é e\\u0301"}',
};

/** Asserts that every way to see the session's data shows `text`. */
async function assertData({ store, add }: Trial, text: string): Promise<void> {
  const parse = () => JSON.parse(text) as JsonObject;
  const created = await add({ data: parse() });
  const updated = await add({ data: { other: true } });
  await store.update("shop", updated.tokenHash, NOW, (session) => ({ ...session, data: parse() }));
  for (const { session, tokenHash } of [created, updated]) {
    const seen = [
      await store.peek("shop", tokenHash, NOW),
      (await store.touch("shop", tokenHash, NOW))?.after,
      (await listAll(store, "shop", NOW)).find(({ id }) => id === session.id),
    ];
    for (const one of seen) assert.equal(JSON.stringify(one?.data), JSON.stringify(parse()));
  }
}

/** Asserts that every way to name a user finds this one and leaves the other. */
async function assertUser({ store, add }: Trial, userId: string, other: string): Promise<void> {
  const [first, kept, neighbour] = [
    await add({ userId }),
    await add({ userId }),
    await add({ userId: other }),
  ];
  assert.equal((await store.peek("shop", first.tokenHash, NOW))?.userId, userId);
  const listed = await listAll(store, "shop", NOW, { userId });
  assert.deepEqual(listed, [kept.session, first.session]);
  assert.equal(await store.countActiveUsers("shop", NOW, NOW), 2);
  const { tokenHash } = kept;
  assert.equal(await store.deleteUser("shop", userId, NOW, { tokenHash }), 1);
  assert.equal(await store.deleteUser("shop", userId, NOW), 1);
  assert.deepEqual(await listAll(store, "shop", NOW, { userId }), []);
  assert.deepEqual(await listAll(store, "shop", NOW), [neighbour.session]);
}

/** Values come back as they were given. */
export function valueCases(check: Case): void {
  for (const [name, userId] of Object.entries(USER_IDS)) {
    check(`a user id is kept to the letter: ${name}`, (trial) =>
      assertUser(trial, userId, `${userId}:`),
    );
  }

  for (const [name, text] of Object.entries(DATAS)) {
    check(`data is kept to the letter: ${name}`, (trial) => assertData(trial, text));
  }

  check("the largest values are kept", async ({ store, add }) => {
    const { session, tokenHash } = await add({
      app: "A_-z0123456789abcdef",
      ip: "0000:0000:0000:0000:0000:ffff:192.168.100.228",
      userAgent: "✓".repeat(512),
      data: { text: "x".repeat(59_900) },
      reads: Number.MAX_SAFE_INTEGER - 1,
      writes: Number.MAX_SAFE_INTEGER,
      version: Number.MAX_SAFE_INTEGER,
      idleTtl: (2 ** 31 - 1) * 1_000,
      absoluteExpiresAt: NOW + (2 ** 31 - 1) * 1_000,
    });
    assert.deepEqual(await store.peek(session.app, tokenHash, NOW), session);
    assert.deepEqual(await listAll(store, session.app, NOW), [session]);
  });

  check("an address and a user agent may be unknown", async ({ store, add }) => {
    const { session, tokenHash } = await add({ ip: "", userAgent: "" });
    assert.deepEqual(await store.peek("shop", tokenHash, NOW), session);
    assert.deepEqual(await listAll(store, "shop", NOW), [session]);
  });
}

const userIds = fc.string({ unit: "binary", minLength: 1, maxLength: 20 }).filter((text) => {
  try {
    return checkUserId(text) === text;
  } catch {
    return false;
  }
});

const jsonObjects = fc
  .dictionary(
    fc.oneof(fc.constantFrom("", "__proto__", "constructor"), fc.string({ unit: "binary" })),
    fc.jsonValue({ stringUnit: "binary" }),
  )
  .map((data) => JSON.stringify(data));

/** The same for any value that the domain admits. */
export function anyUserId(open: OpenStore): Promise<void> {
  const property = fc.asyncProperty(userIds, userIds, async (userId, other) => {
    fc.pre(userId !== other);
    await withStore(open, (opened) => assertUser(createTrial(opened), userId, other));
  });
  return fc.assert(property, { numRuns: runs(10) });
}

/** The same for any value that the domain admits. */
export function anyData(open: OpenStore): Promise<void> {
  const property = fc.asyncProperty(jsonObjects, (text) =>
    withStore(open, (opened) => assertData(createTrial(opened), text)),
  );
  return fc.assert(property, { numRuns: runs(15) });
}
