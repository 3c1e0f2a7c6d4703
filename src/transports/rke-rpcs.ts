import type { MessageInitShape } from "@bufbuild/protobuf";
import { Cipher, type ItemErrorSchema } from "../../gen/ts/latchkey/rke/v1/cipher_pb.js";
import type { RkeService } from "../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import type { SessionSchema } from "../../gen/ts/latchkey/rke/v1/session_pb.js";
import type { CipherName } from "../domain/cipher.js";
import { invalid, LatchkeyError } from "../domain/error.js";
import type { RkeSession } from "../domain/keyring.js";
import type { Authorization } from "../services/authorization.js";
import { toTimestamp } from "./messages.js";
import type { Rpcs } from "./rpcs.js";

/** RkeService as the wires see it: messages to use cases and back. */
export function createRkeRpcs({
  rkeOf,
}: {
  readonly rkeOf: Authorization["rkeOf"];
}): Rpcs<typeof RkeService> {
  return {
    async discoverContentServer({ domain }, { caller }) {
      const { keySets, ...server } = await rkeOf(caller).discover(domain);
      return { contentServer: { ...server, keySets: [...keySets] } };
    },

    async createSession({ domain, walletPath }, { caller }) {
      const { session, fromCache } = await rkeOf(caller).create({ domain, walletPath });
      return { session: toMessage(session), fromCache };
    },

    getSession: ({ sessionId }, { caller }) => ({
      session: toMessage(rkeOf(caller).get(sessionId)),
    }),

    listSessions: (_request, { caller }) => ({
      sessions: rkeOf(caller).list().sessions.map(toMessage),
    }),

    deleteSession({ sessionId, forgetKey }, { caller }) {
      rkeOf(caller).delete(sessionId, forgetKey);
      return {};
    },

    encrypt({ sessionId, cipher, items }, { caller }) {
      const results = rkeOf(caller).encrypt({ sessionId, cipher: toCipherName(cipher), items });
      return {
        results: results.map((result) =>
          result instanceof LatchkeyError
            ? { result: { case: "error", value: toItemError(result) } }
            : { result: { case: "encrypted", value: result } },
        ),
      };
    },

    decrypt({ sessionId, cipher, items }, { caller }) {
      const results = rkeOf(caller).decrypt({ sessionId, cipher: toCipherName(cipher), items });
      return {
        results: results.map((result) =>
          result instanceof LatchkeyError
            ? { result: { case: "error", value: toItemError(result) } }
            : { result: { case: "plaintext", value: result } },
        ),
      };
    },
  };
}

function toMessage(session: RkeSession): MessageInitShape<typeof SessionSchema> {
  const { id, origin, createdAt, expiresAt, usage } = session;
  return {
    sessionId: id,
    domain: origin.domain,
    csId: origin.csId,
    keyId: origin.keyId,
    createdAt: toTimestamp(createdAt),
    expiresAt: toTimestamp(expiresAt),
    encryptCount: BigInt(usage.encrypts),
    decryptCount: BigInt(usage.decrypts),
    keyDerivation: {
      raidas: origin.raidas,
      clientSerial: origin.clientSerial,
      time: toTimestamp(origin.time * 1000),
    },
  };
}

function toCipherName(cipher: Cipher): CipherName {
  switch (cipher) {
    case Cipher.UNSPECIFIED:
    case Cipher.AES_256_GCM:
      return "aes-256-gcm";
    case Cipher.AES_256_CTR:
      return "aes-256-ctr";
    default:
      throw invalid("cipher", "value", "cipher must be CIPHER_AES_256_GCM or CIPHER_AES_256_CTR");
  }
}

function toItemError({ code, message }: LatchkeyError): MessageInitShape<typeof ItemErrorSchema> {
  return { reason: code.toUpperCase(), message };
}
