import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type JsonObject, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { CreateSessionRequestSchema } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { LatchkeyError } from "../../../src/domain/error.js";
import {
  checkJsonValues,
  MAX_VALUES,
  messageValuesCheck,
} from "../../../src/transports/rpc/message-values.js";
import { assertRefused } from "../../support/transports/case.js";
import { withListeners } from "../../support/transports/listeners.js";
import { openRawWire } from "../../support/transports/raw.js";
import { openRest } from "../../support/transports/rest.js";
import { WIRES } from "../../support/transports/wires.js";

const checkBinary = messageValuesCheck(CreateSessionRequestSchema);

/** A CreateSession whose data has so many items of a kind, in a list. */
const requestOf = (count: number, item: "[]" | "{}" | "0" | "null" | '""') => {
  const data = { list: Array.from({ length: count }, () => JSON.parse(item)) } as JsonObject;
  const message = create(CreateSessionRequestSchema, { app: "shop", userId: "ann", data });
  return { json: Buffer.from(toJsonString(CreateSessionRequestSchema, message)), message };
};

const isTooMany = (error: unknown) =>
  error instanceof LatchkeyError && error.code === "invalid" && /40000 values/.test(error.message);

for (const item of ["[]", "{}", "0", "null", '""'] as const) {
  test(`as many values as data may have are decoded, and more than there may be are not: ${item}`, () => {
    // The most that fit in 60,000 bytes of JSON.
    const most = requestOf(Math.floor(59_000 / (item.length + 1)), item);
    checkJsonValues(most.json);
    checkBinary(toBinary(CreateSessionRequestSchema, most.message));
    const more = requestOf(MAX_VALUES + 1, item);
    assert.throws(() => checkJsonValues(more.json), isTooMany);
    assert.throws(() => checkBinary(toBinary(CreateSessionRequestSchema, more.message)), isTooMany);
  });
}

describe("of JSON", () => {
  test("commas and brackets in strings are no values", () => {
    const text = JSON.stringify({ a: '\\",[{'.repeat(MAX_VALUES), b: "\\" });
    checkJsonValues(Buffer.from(text));
  });

  test("what is nested counts, whether it is closed or not", () => {
    assert.throws(() => checkJsonValues(Buffer.from("[".repeat(2 ** 20))), isTooMany);
    assert.throws(() => checkJsonValues(Buffer.from('{"a":'.repeat(2 ** 17))), isTooMany);
  });

  test("no bytes make it fail otherwise", () => {
    const bytes = fc.array(fc.constantFrom(...Buffer.from('",[{\\ x')), { maxLength: 50 });
    fc.assert(
      fc.property(bytes, (part) => {
        const text = Buffer.concat(Array.from({ length: 2_000 }, () => Buffer.from(part)));
        try {
          checkJsonValues(text);
        } catch (error) {
          assert.ok(isTooMany(error));
        }
      }),
    );
  });
});

test("no bytes make the count of a message fail otherwise", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), (part) => {
      const bytes = Buffer.concat(
        Array.from({ length: Math.ceil(100_000 / part.length) }, () => part),
      );
      try {
        checkBinary(bytes);
      } catch (error) {
        assert.ok(isTooMany(error));
      }
    }),
  );
});

for (const name of WIRES) {
  test(`${name}: a request of 1 MiB of values is refused before it is decoded`, () =>
    withListeners({}, async (listeners) => {
      const wire = openRawWire(name, listeners);
      try {
        const { json, message } = requestOf(200_000, "[]");
        const bytes = wire.json ? json : toBinary(CreateSessionRequestSchema, message);
        const expected = { code: Code.InvalidArgument, message: /more than 40000 values/ };
        await assertRefused(wire.send("CreateSession", bytes), expected);
      } finally {
        wire.close();
      }
    }));
}

test("a body of 1 MiB of values is refused by the RKE endpoints, too", () =>
  withListeners({}, async ({ http }) => {
    const rest = openRest(http, false);
    try {
      const content = `[${"[],".repeat(340_000)}0]`;
      const body = { content, type: "application/json" };
      const { status, text } = await rest.call("POST", "/api/rke/encrypt", body);
      assert.equal(status, 400);
      assert.match(text, /more than 40000 values/);
    } finally {
      rest.close();
    }
  }));
