import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { Listener, Role } from "../../gen/ts/latchkey/session/v1/caller_session_pb.js";
import { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { JsonObject } from "../../src/domain/json.js";
import { compileEncoder } from "../../src/transports/grpc/message-encoder.js";

// As in the server's process; see `disarmProto`.
Reflect.deleteProperty(Object.prototype, "__proto__");

const count = fc.nat().map(BigInt);
const text = fc.string({ unit: "grapheme" });
const timestamp = fc.record({ seconds: count, nanos: fc.nat(999_999_999) });
const json = fc.jsonValue({ stringUnit: "grapheme" });
const session = fc.record(
  {
    sessionId: text,
    app: text,
    userId: text,
    ip: text,
    userAgent: text,
    data: fc.dictionary(text, json).map((data) => data as JsonObject),
    reads: count,
    writes: count,
    version: count,
    createdAt: timestamp,
    lastAccessedAt: timestamp,
    idleTtl: fc.record({ seconds: count }),
    expiresAt: timestamp,
    absoluteExpiresAt: timestamp,
  },
  { requiredKeys: [] },
);

const caller = fc.record(
  {
    sessionId: text,
    account: text,
    role: fc.constantFrom(Role.UNSPECIFIED, Role.ADMIN, Role.USER),
    address: text,
    listener: fc.constantFrom(Listener.UNSPECIFIED, Listener.GRPC, Listener.COMMAND),
    createdAt: timestamp,
    lastAccessedAt: timestamp,
  },
  { requiredKeys: [] },
);

/** Every response of the service, by the name of its method. */
const responses = {
  createSession: fc.record({ token: text, session }),
  getSession: fc.record({ session }),
  updateSession: fc.record({ session }),
  extendSession: fc.record({ session }),
  deleteSession: fc.constant({}),
  deleteUserSessions: fc.record({ deletedCount: count }),
  deleteAppSessions: fc.record({ deletedCount: count }),
  listSessions: fc.record({ sessions: fc.array(session), nextPageToken: text }),
  listUserSessions: fc.record({ sessions: fc.array(session), nextPageToken: text }),
  countActiveUsers: fc.record({ userCount: count }),
  getCurrentSession: fc.record({ session: caller }),
  listCallers: fc.record({ callers: fc.array(caller), nextPageToken: text }),
} satisfies Record<keyof typeof SessionService.method, unknown>;

for (const method of SessionService.methods) {
  test(`the encoder of ${method.output.name} writes what the protobuf runtime reads back`, () => {
    const desc: DescMessage = method.output;
    const encode = compileEncoder(desc);
    const response: fc.Arbitrary<Record<string, unknown>> =
      responses[method.localName as keyof typeof SessionService.method];
    fc.assert(
      fc.property(response, (message) => {
        const expected = create(desc, message);
        const bytes = encode(message as never);
        assert.deepEqual(fromBinary(desc, bytes), fromBinary(desc, toBinary(desc, expected)));
        assert.equal(bytes.length, toBinary(desc, expected).length);
      }),
    );
  });
}

test("a message with a field of an unknown kind is refused when the encoder is prepared", () => {
  assert.throws(() => compileEncoder(FieldMaskSchema), /no encoder for the field .*paths/);
});
