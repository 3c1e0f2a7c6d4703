import type { MessageInitShape } from "@bufbuild/protobuf";
import { Cipher, type ItemErrorSchema } from "../../../gen/ts/latchkey/rke/v1/cipher_pb.js";
import type { RkeService, StreamStart } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import type { SessionSchema } from "../../../gen/ts/latchkey/rke/v1/session_pb.js";
import { invalid, LatchkeyError } from "../../domain/error.js";
import type { CipherName } from "../../domain/rke/cipher.js";
import type { RkeSession } from "../../domain/rke/keyring.js";
import type { Authorization } from "../../services/access/authorization.js";
import type { ByteStream, StreamStart as ServiceStart } from "../../services/rke/streams.js";
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

    encryptStream: ({ caller }) =>
      toBidiCall(
        (start) => rkeOf(caller).encryptStream(start),
        "plaintext",
        (ciphertext) => ({ ciphertext }),
      ),

    decryptStream: ({ caller }) =>
      toBidiCall(
        (start) => rkeOf(caller).decryptStream(start),
        "ciphertext",
        (plaintext) => ({ plaintext }),
      ),
  };
}

/** A request of a stream: `start`, or a chunk under the name of what it is. */
interface StreamRequest {
  readonly request:
    | { readonly case: "start"; readonly value: StreamStart }
    | { readonly case: "plaintext" | "ciphertext"; readonly value: Uint8Array }
    | { readonly case: undefined };
}

/** The messages of a stream of bytes; `input` is the field that its chunks come in. */
function toBidiCall<O>(
  open: (start: ServiceStart) => ByteStream,
  input: "plaintext" | "ciphertext",
  toAnswer: (bytes: Buffer) => O,
) {
  let stream: ByteStream | undefined;
  const answer = (released: readonly Buffer[]) =>
    released.filter(({ length }) => length > 0).map(toAnswer);
  return {
    next({ request }: StreamRequest): O[] {
      if (!stream) {
        if (request.case !== "start") throw noStart();
        const { sessionId, cipher, associatedData } = request.value;
        stream = open({ sessionId, cipher: toCipherName(cipher), associatedData });
        return [];
      }
      if (request.case === "start" || request.case === undefined) {
        const problem = request.case ? "value" : "missing";
        throw invalid(input, problem, `every request after the first must have ${input}`);
      }
      return answer(stream.push(request.value));
    },
    end(): O[] {
      if (!stream) throw noStart();
      return answer(stream.end());
    },
  };
}

function noStart(): LatchkeyError {
  return invalid("start", "missing", "the first request must be start");
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
