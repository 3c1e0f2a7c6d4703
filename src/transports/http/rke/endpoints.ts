import { invalid, LatchkeyError } from "../../../domain/error.js";
import type { RkeSession } from "../../../domain/rke/keyring.js";
import type { Rke } from "../../../services/rke/rke.js";

/** Parameters by name: of the query, or of the body's JSON. */
export type RkeParameters = Readonly<Record<string, unknown>>;

/** The parameters in, an answer (a JSON object) out; `rke` is what the caller may use of RKE. */
export type RkeEndpoint = (parameters: RkeParameters, rke: Rke) => object | Promise<object>;

/** What the reproduced API encrypts by. */
const CIPHER = "aes-256-ctr";
const NOTHING = new Uint8Array(0);

/**
 * The endpoints of the reproduced API by the names of their commands, which each answers.
 * Keys are in the order in which it documents them.
 */
export const RKE_ENDPOINTS = {
  async rke_discover(parameters, rke) {
    const server = await rke.discover(textOf(parameters, "domain"));
    return {
      domain: server.domain,
      target_host: server.targetHost,
      target_port: server.targetPort,
      min_raidas_required: server.minRaidasRequired,
      key_sets: server.keySets.map(({ keyId, csId, serverCount }) => ({
        key_id: keyId,
        cs_id: csId,
        server_count: serverCount,
      })),
    };
  },

  async rke_session_create(parameters, rke) {
    const domain = textOf(parameters, "domain");
    const walletPath = textOf(parameters, "wallet_path");
    const { session, fromCache } = await rke.create({ domain, walletPath });
    return {
      session_id: session.id,
      domain: session.origin.domain,
      cs_id: session.origin.csId,
      expires_at: toTime(session.expiresAt),
      from_cache: fromCache,
    };
  },

  rke_sessions(_parameters, rke) {
    const { sessions, total } = rke.list();
    return { total, active: sessions.length, sessions: sessions.map(toSession) };
  },

  rke_session_delete(parameters, rke) {
    const sessionId = textOf(parameters, "session_id");
    orNotFound("Session not found", () => rke.delete(sessionId));
    return { session_id: sessionId };
  },

  rke_encrypt(parameters, rke) {
    const sessionId = textOf(parameters, "session_id");
    const plaintext = base64Of(parameters, "plaintext");
    const items = [{ plaintext, associatedData: NOTHING }];
    const { ciphertext, nonce } = onlyOf(
      orNotFound(EXPIRED, () => rke.encrypt({ sessionId, cipher: CIPHER, items })),
    );
    return {
      ciphertext: ciphertext.toString("base64"),
      nonce: Buffer.from(nonce).toString("hex"),
      length: ciphertext.length,
    };
  },

  rke_decrypt(parameters, rke) {
    const sessionId = textOf(parameters, "session_id");
    const ciphertext = base64Of(parameters, "ciphertext");
    const nonce = nonceOf(parameters);
    const items = [{ ciphertext, nonce, associatedData: NOTHING }];
    const plaintext = onlyOf(
      orNotFound(EXPIRED, () => rke.decrypt({ sessionId, cipher: CIPHER, items })),
    );
    return { plaintext: plaintext.toString("base64"), length: plaintext.length };
  },
} as const satisfies Readonly<Record<string, RkeEndpoint>>;

const EXPIRED = "Session not found or expired";

function toSession({ id, origin, createdAt, expiresAt, usage }: RkeSession) {
  return {
    session_id: id,
    domain: origin.domain,
    cs_id: origin.csId,
    created_at: toTime(createdAt),
    expires_at: toTime(expiresAt),
    encrypt_count: usage.encrypts,
    decrypt_count: usage.decrypts,
  };
}

/** ISO 8601 in UTC with whole seconds, of milliseconds since 1970. */
function toTime(instant: number): string {
  return new Date(instant).toISOString().replace(/\.\d+Z$/, "Z");
}

/** A parameter as text. An empty one counts as missing. */
function textOf(parameters: RkeParameters, name: string): string {
  const value = parameters[name];
  if (typeof value === "string" && value !== "") return value;
  if (value === undefined || value === "") throw invalid(name, "missing", `${name} is required`);
  throw invalid(name, "format", `${name} must be a text, given once`);
}

/** A parameter's bytes: Base64 with padding, as RFC 4648, 4. */
function base64Of(parameters: RkeParameters, name: string): Buffer {
  const text = textOf(parameters, name);
  const bytes = Buffer.from(text, "base64");
  // The decoder takes anything; only what it would write is what was meant.
  if (bytes.toString("base64") === text) return bytes;
  throw invalid(name, "format", "Invalid base64 encoding");
}

function nonceOf(parameters: RkeParameters): Buffer {
  const text = textOf(parameters, "nonce");
  if (/^[0-9a-f]{32}$/i.test(text)) return Buffer.from(text, "hex");
  throw invalid("nonce", "format", "nonce must be 32 hexadecimal characters");
}

/** `call`, with this message if it finds no session; an id of another form names none, too. */
function orNotFound<T>(message: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error;
    const isAbsent = error.code === "not_found" || error.violation?.field === "session_id";
    throw isAbsent ? new LatchkeyError("not_found", message) : error;
  }
}

/** The result of the only item; throws its error. */
function onlyOf<T>([result]: readonly (T | LatchkeyError)[]): T {
  if (result === undefined || result instanceof LatchkeyError) throw result;
  return result;
}
