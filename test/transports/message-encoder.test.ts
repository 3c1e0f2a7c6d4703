import assert from "node:assert/strict";
import { test } from "node:test";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  toBinary,
} from "@bufbuild/protobuf";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { RkeService } from "../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { AtLimit, Binding } from "../../gen/ts/latchkey/session/v1/app_policy_pb.js";
import { Listener, Role } from "../../gen/ts/latchkey/session/v1/caller_session_pb.js";
import { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { EndReason, SessionEventType } from "../../gen/ts/latchkey/session/v1/watch_pb.js";
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
    isCurrent: fc.boolean(),
    device: text,
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

const itemError = fc.record({
  case: fc.constant("error"),
  value: fc.record({ reason: text, message: text }),
});
const resultOf = (name: string, value: fc.Arbitrary<unknown>) =>
  fc.array(
    fc.record(
      { result: fc.oneof(fc.record({ case: fc.constant(name), value }), itemError) },
      { requiredKeys: [] },
    ),
  );
const ttl = fc.record({ seconds: count });
const policy = fc.record(
  {
    defaultIdleTtl: ttl,
    maxIdleTtl: ttl,
    defaultAbsoluteTtl: ttl,
    maxAbsoluteTtl: ttl,
    maxSessionsPerUser: fc.nat(1_000),
    atLimit: fc.constantFrom(AtLimit.UNSPECIFIED, AtLimit.REFUSE, AtLimit.EVICT_OLDEST),
    bindIp: fc.constantFrom(Binding.UNSPECIFIED, Binding.OFF, Binding.END),
    bindUserAgent: fc.constantFrom(Binding.UNSPECIFIED, Binding.REPORT),
    touchInterval: ttl,
  },
  { requiredKeys: [] },
);
const sessionEvent = fc.record({
  revision: count,
  type: fc.constantFrom(SessionEventType.UNSPECIFIED, SessionEventType.ENDED),
  sessionId: text,
  userId: text,
  version: count,
  occurredAt: timestamp,
  endReason: fc.constantFrom(EndReason.UNSPECIFIED, EndReason.THEFT),
});
const oneOf = (contents: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.oneof(
    ...Object.entries(contents).map(([name, value]) =>
      fc.record({ case: fc.constant(name), value }),
    ),
  );

/** Every response of SessionService, by the name of its method. */
const sessionResponses = {
  createSession: fc.record({ token: text, session }),
  getSession: fc.record({ session }),
  batchGetSessions: fc.record({ results: resultOf("session", session) }),
  updateSession: fc.record({ session }),
  extendSession: fc.record({ session }),
  rotateToken: fc.record({ token: text, session, graceEndsAt: timestamp }),
  deleteSession: fc.constant({}),
  deleteUserSessions: fc.record({ deletedCount: count }),
  deleteAppSessions: fc.record({ deletedCount: count }),
  listSessions: fc.record({ sessions: fc.array(session), nextPageToken: text }),
  listUserSessions: fc.record({ sessions: fc.array(session), nextPageToken: text }),
  countActiveUsers: fc.record({ userCount: count }),
  getAppPolicy: fc.record({ policy }),
  setAppPolicy: fc.record({ policy }),
  watchSessions: fc.record({
    revision: count,
    content: oneOf({
      snapshot: fc.record({ sessions: fc.array(session) }),
      snapshotEnd: fc.constant({}),
      events: fc.record({ events: fc.array(sessionEvent) }),
      progress: fc.constant({}),
      reset: fc.constant({}),
    }),
  }),
  getCurrentSession: fc.record({ session: caller }),
  listCallers: fc.record({ callers: fc.array(caller), nextPageToken: text }),
} satisfies Record<keyof typeof SessionService.method, Message>;

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const bytes = fc.uint8Array({ maxLength: 300 });
const rkeSession = fc.record(
  {
    sessionId: text,
    domain: text,
    csId: text,
    keyId: int32,
    createdAt: timestamp,
    expiresAt: timestamp,
    encryptCount: count,
    decryptCount: count,
    keyDerivation: fc.record({ raidas: int32, clientSerial: text, time: timestamp }),
  },
  { requiredKeys: [] },
);
const keySet = fc.record({ keyId: int32, csId: text, serverCount: int32 });
const contentServer = fc.record({
  domain: text,
  targetHost: text,
  targetPort: int32,
  minRaidasRequired: int32,
  keySets: fc.array(keySet),
});
/** Every response of RkeService, by the name of its method. */
const rkeResponses = {
  discoverContentServer: fc.record({ contentServer }),
  createSession: fc.record({ session: rkeSession, fromCache: fc.boolean() }),
  getSession: fc.record({ session: rkeSession }),
  listSessions: fc.record({ sessions: fc.array(rkeSession) }),
  deleteSession: fc.constant({}),
  encrypt: fc.record({
    results: resultOf("encrypted", fc.record({ ciphertext: bytes, nonce: bytes })),
  }),
  decrypt: fc.record({ results: resultOf("plaintext", bytes) }),
  encryptStream: fc.record({ ciphertext: bytes }),
  decryptStream: fc.record({ plaintext: bytes }),
} satisfies Record<keyof typeof RkeService.method, Message>;

type Message = fc.Arbitrary<Record<string, unknown>>;

const METHODS = [SessionService, RkeService].flatMap((service): DescMethod[] => service.methods);
const RESPONSES: Readonly<Record<string, Message>> = Object.fromEntries(
  [[SessionService, sessionResponses] as const, [RkeService, rkeResponses] as const].flatMap(
    ([service, responses]) =>
      Object.entries(responses).map(([name, response]) => [
        `${service.typeName}.${name}`,
        response,
      ]),
  ),
);

for (const method of METHODS) {
  const { typeName } = method.output;
  test(`the encoder of ${typeName} writes what the protobuf runtime reads back`, () => {
    const desc: DescMessage = method.output;
    const encode = compileEncoder(desc);
    const response = RESPONSES[`${method.parent.typeName}.${method.localName}`];
    assert.ok(response);
    fc.assert(
      fc.property(response, (message) => {
        const expected = create(desc, message);
        const bytes = Uint8Array.from(encode(message as never)); // Not a Buffer, of which parts are Buffers.
        assert.deepEqual(fromBinary(desc, bytes), fromBinary(desc, toBinary(desc, expected)));
        assert.equal(bytes.length, toBinary(desc, expected).length);
      }),
    );
  });
}

test("a message with a field of an unknown kind is refused when the encoder is prepared", () => {
  assert.throws(() => compileEncoder(FieldMaskSchema), /no encoder for the field .*paths/);
});
