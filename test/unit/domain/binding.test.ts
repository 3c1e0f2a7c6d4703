import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_POLICY } from "../../../src/domain/sessions/app-policy.js";
import { findMismatches } from "../../../src/domain/sessions/binding.js";
import { createMint } from "../../support/stores/fixture.js";

const POLICY = { ...NO_POLICY, bindIp: "end", bindUserAgent: "report" } as const;

/** Which fields of a read do not match a session that has these. */
function fieldsOf(bound: { ip?: string; userAgent?: string }, seen: object, policy = POLICY) {
  const { session } = createMint()({ ip: "", userAgent: "", ...bound });
  const read = { ip: "", userAgent: "", ...seen };
  return findMismatches(policy, session, read).map(({ field, binding }) => [field, binding]);
}

test("addresses are compared and not their spelling", () => {
  for (const [bound, seen, isSame] of [
    ["192.0.2.1", "192.0.2.1", true],
    ["192.0.2.1", "::ffff:192.0.2.1", true],
    ["192.0.2.1", "192.0.2.2", false],
    ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1", true],
    ["2001:db8::1", "2001:db8::2:3:4:5", true],
    ["2001:db8::1", "2001:db8:0:1::1", false],
    ["no address", "no address", true],
    ["no address", "another", false],
  ] as const) {
    const expected = isSame ? [] : [["ip", "end"]];
    assert.deepEqual(fieldsOf({ ip: bound }, { ip: seen }), expected, `${bound} and ${seen}`);
  }
});

test("each field is held to its own rule, and only if both sides know it", () => {
  const bound = { ip: "192.0.2.1", userAgent: "a" };
  const seen = { ip: "192.0.2.2", userAgent: "A" };
  assert.deepEqual(fieldsOf(bound, seen), [
    ["ip", "end"],
    ["user_agent", "report"],
  ]);
  assert.deepEqual(fieldsOf(bound, {}), []);
  assert.deepEqual(fieldsOf({}, seen), []);
  assert.deepEqual(findMismatches(NO_POLICY, createMint()(bound).session, seen), []);
});
