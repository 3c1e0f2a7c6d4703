import { invalid } from "../error.js";

/** Bounds of RKE; the .proto comments state the same numbers. */
export const RKE_LIMITS = {
  /** Characters of a domain, RFC 1035, 2.3.4, less the dot at its end. */
  domain: 253,
  /** Items of a batch. */
  items: 1_000,
  /** Messages that a key encrypts by AES-256-GCM under random nonces: NIST SP 800-38D, 8.3. */
  gcmMessages: 2 ** 32 - 1,
} as const;

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const SESSION_ID = /^[0-9a-f]{32}$/;

// Each check below returns what it was given, or its normal form, or throws `invalid`, naming the field.

/** In lower case and without a dot at its end. */
export function checkDomain(domain: string): string {
  const name = domain.toLowerCase().replace(/\.$/, "");
  if (name.length <= RKE_LIMITS.domain && name.split(".").every((label) => LABEL.test(label))) {
    return name;
  }
  if (domain === "") throw invalid("domain", "missing", "domain is required");
  throw invalid("domain", "format", "domain must be a DNS name such as content.example.com");
}

/** Whether a wallet lies there, and may, is the key exchange's to say. */
export function checkWalletPath(path: string): string {
  if (path !== "") return path;
  throw invalid("wallet_path", "missing", "wallet_path is required");
}

export function isRkeSessionId(id: string): boolean {
  return SESSION_ID.test(id);
}

export function checkRkeSessionId(id: string): string {
  if (isRkeSessionId(id)) return id;
  if (id === "") throw invalid("session_id", "missing", "session_id is required");
  throw invalid("session_id", "format", "session_id must be 32 lower-case hexadecimal digits");
}
