import assert from "node:assert/strict";
import { test } from "node:test";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import fc from "fast-check";
import { EncryptRequestSchema, RkeService } from "../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import {
  BatchGetSessionsRequestSchema,
  GetSessionRequestSchema,
  SessionService,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { compileDecoder } from "../../src/transports/grpc/message-decoder.js";

const REQUESTS = new Map<string, DescMessage>(
  [...SessionService.methods, ...RkeService.methods].map(({ input }: DescMethod) => [
    input.typeName,
    input,
  ]),
);

const text = fc.string({
  unit: fc.constantFrom("a", "\u00e9", "\u{1f511}", "\ufeff", "\ufffd", "\0"),
});
const bytes = fc.uint8Array({ maxLength: 300 });

/** Requests that are read without the library. */
const plain = fc.oneof(
  fc
    .record({ app: text, token: text, peek: fc.boolean(), ip: text, userAgent: text })
    .map((init) => toBinary(GetSessionRequestSchema, create(GetSessionRequestSchema, init))),
  fc.record({ app: text, tokens: fc.array(text), peek: fc.boolean() }).map((init) => {
    return toBinary(BatchGetSessionsRequestSchema, create(BatchGetSessionsRequestSchema, init));
  }),
  fc
    .record({
      sessionId: text,
      cipher: fc.integer({ min: -1, max: 300 }),
      items: fc.array(fc.record({ plaintext: bytes, associatedData: bytes })),
    })
    .map((init) => toBinary(EncryptRequestSchema, create(EncryptRequestSchema, init))),
);

/** Bytes that look like some message, more or less. */
const pieces = fc
  .array(
    fc.oneof(
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }))
        .map((two) => Uint8Array.from(two)),
      fc
        .tuple(fc.integer({ min: 1, max: 16 }), fc.uint8Array({ maxLength: 5 }))
        .map(([field, value]) => Uint8Array.from([(field << 3) | 2, value.length, ...value])),
      fc.uint8Array({ maxLength: 4 }),
    ),
    { maxLength: 6 },
  )
  .map((all) => Uint8Array.from(all.flatMap((one) => [...one])));

const damaged = fc
  .tuple(plain, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.boolean())
  .map(([message, place, byte, isCut]) => {
    if (message.length === 0) return message;
    const at = place % message.length;
    return isCut ? message.subarray(0, at) : message.with(at, byte);
  });

function outcome(decode: () => unknown): unknown {
  try {
    return { message: decode() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : error };
  }
}

/** The fields of a message, as plain values. */
function fields(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(fields);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fields(one)]));
}

for (const [name, desc] of REQUESTS) {
  test(`any bytes are the ${name} that the library makes of them, or no ${name} for its reason`, () => {
    const decode = compileDecoder(desc);
    fc.assert(
      fc.property(fc.oneof(plain, pieces, damaged), (message) => {
        const actual = outcome(() => decode(Buffer.from(message)));
        const expected = outcome(() => fromBinary(desc, message));
        assert.deepEqual(fields(actual), fields(expected));
      }),
      { numRuns: 2_000 },
    );
  });
}
