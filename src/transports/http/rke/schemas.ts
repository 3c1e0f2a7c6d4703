import { RKE_LIMITS } from "../../../domain/rke/limits.js";
import { object } from "../requests/openapi.js";
import type { RKE_ENDPOINTS } from "./endpoints.js";

// What /openapi.json says of the RKE endpoints. For readers only: the endpoints check their
// input themselves, to answer errors in their own shape.

type Command = keyof typeof RKE_ENDPOINTS;

const text = (description: string, rest: object = {}) => ({ type: "string", description, ...rest });
const count = (description: string) => ({ type: "integer", minimum: 0, description });

const domain = text("The Content Server's domain.", {
  maxLength: RKE_LIMITS.domain,
  examples: ["content.example.com"],
});
const walletPath = text("Absolute path, on the server, of a wallet in LATCHKEY_RKE_WALLETS.");
const sessionId = text("The session.", { pattern: "^[0-9a-f]{32}$" });
const csId = text("The Content Server.", { maxLength: 16 });
const plaintext = text("In Base64 with padding.");
const ciphertext = text("By AES-256-CTR, in Base64 with padding.");
const nonce = text("What encrypt answered with the ciphertext.", { pattern: "^[0-9A-Fa-f]{32}$" });
const length = count("Bytes, decoded.");
const time = (description: string) => text(description, { format: "date-time" });
const expiresAt = time("When the session expires, in whole seconds.");

const keySet = object({
  key_id: count("Its number."),
  cs_id: csId,
  server_count: count("Servers."),
});
const session = object({
  session_id: sessionId,
  domain,
  cs_id: csId,
  created_at: time("When the session was created, in whole seconds."),
  expires_at: expiresAt,
  encrypt_count: count("Messages encrypted in it."),
  decrypt_count: count("Messages decrypted in it."),
});

const ERRORS = {
  400: "A parameter is missing or malformed, or the wallet cannot be used.",
  404: "There is no such session, or no Content Server of the domain.",
  429: "Every place for a session is taken.",
  502: "DNS or too many RAIDA servers did not answer.",
} as const;
const error = (description: string) => ({
  description,
  ...object(
    {
      error: { type: "boolean", const: true },
      message: { type: "string" },
      code: count("The HTTP status."),
      session_id: text("Where one was given."),
    },
    ["error", "message", "code"],
  ),
});

interface Endpoint {
  readonly summary: string;
  /** All of them are required. */
  readonly parameters: Readonly<Record<string, object>>;
  readonly answer: Readonly<Record<string, object>>;
  readonly errors: readonly (keyof typeof ERRORS)[];
}

const ENDPOINTS: Readonly<Record<Command, Endpoint>> = {
  rke_discover: {
    summary: "Find out what DNS tells of a Content Server.",
    parameters: { domain },
    answer: {
      domain,
      target_host: text("Its host."),
      target_port: count("Its port."),
      min_raidas_required: count("How many of the 25 RAIDA servers an exchange needs."),
      key_sets: { type: "array", items: keySet },
    },
    errors: [400, 404, 502],
  },
  rke_session_create: {
    summary: "Start a session with a Content Server.",
    parameters: { domain, wallet_path: walletPath },
    answer: {
      session_id: sessionId,
      domain,
      cs_id: csId,
      expires_at: expiresAt,
      from_cache: { type: "boolean", description: "Whether the key was kept for the domain." },
    },
    errors: [400, 404, 429, 502],
  },
  rke_sessions: {
    summary: "List the sessions, the oldest first.",
    parameters: {},
    answer: {
      total: count("Sessions, with those that have expired and were not swept yet."),
      active: count("Sessions that are listed."),
      sessions: { type: "array", items: session },
    },
    errors: [],
  },
  rke_session_delete: {
    summary: "End a session and zero its key.",
    parameters: { session_id: sessionId },
    answer: { session_id: sessionId },
    errors: [400, 404],
  },
  rke_encrypt: {
    summary: "Encrypt by AES-256-CTR, which detects no tampering.",
    parameters: { session_id: sessionId, plaintext },
    answer: { ciphertext, nonce, length },
    errors: [400, 404],
  },
  rke_decrypt: {
    summary: "Decrypt by AES-256-CTR.",
    parameters: { session_id: sessionId, ciphertext, nonce },
    answer: { plaintext, length },
    errors: [400, 404],
  },
};

/** The schema of an endpoint by GET, with its parameters in the query, or by POST, in the body. */
export function schemaOf(method: "GET" | "POST", command: Command): object {
  const { summary, parameters, answer, errors } = ENDPOINTS[command];
  const names = Object.keys(parameters);
  const input = { [method === "GET" ? "querystring" : "body"]: object(parameters, names) };
  const success = {
    command: { type: "string", const: command },
    success: { type: "boolean", const: true },
  };
  return {
    summary,
    tags: ["rke"],
    ...(names.length > 0 ? input : {}),
    response: {
      200: { description: "The answer.", ...object({ ...success, ...answer }) },
      ...Object.fromEntries(errors.map((code) => [code, error(ERRORS[code])])),
    },
  };
}
