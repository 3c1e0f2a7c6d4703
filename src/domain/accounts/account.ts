import { hash } from "node:crypto";
import type { RandomBytes } from "../../lib/random.js";
import { invalid } from "../error.js";
import { checkText, isText } from "../limits.js";

/** `Admin`: everything. `User`: the sessions of its apps. */
export type Role = "Admin" | "User";

/** Who may call, and what it may touch. Immutable. */
export interface Account {
  /** Never given again. */
  readonly id: number;
  readonly name: string;
  readonly role: Role;
  /** App names, or prefixes as `shop-*`, that a User may touch. */
  readonly apps: readonly string[];
  /** Whether it may use RKE. */
  readonly rke: boolean;
  readonly enabled: boolean;
}

/** What is known of an API key once it was shown. All times are milliseconds since 1970. */
export interface ApiKey {
  /** Public, never given again. */
  readonly id: number;
  readonly accountId: number;
  readonly label: string;
  readonly createdAt: number;
  /** From this instant on it is refused; null: never. */
  readonly expiresAt: number | null;
  /** To a minute or so; null: never used. */
  readonly lastUsedAt: number | null;
}

declare const keyHash: unique symbol;

/** SHA-256 of an API key, in base64url (43 characters): all of a key that is ever kept. */
export type KeyHash = string & { readonly [keyHash]: true };

/** Characters (code points); see the checks below. */
export const ACCOUNT_LIMITS = {
  /** Accounts in all: a server reads all of them anew when one changes. */
  accounts: 10_000,
  name: 64,
  label: 64,
  passwordMin: 8,
  passwordMax: 256,
} as const;

const APP_PATTERN = /^(?:[A-Za-z0-9_-]{3,20}|[A-Za-z0-9_-]{1,19}\*)$/;

// Each check below returns what it was given or throws `invalid`, naming the field.

/** A name has no colon because Basic credentials end their name at the first. */
export function checkAccountName(name: string): string {
  checkText("name", name, ACCOUNT_LIMITS.name);
  if (!name.includes(":")) return name;
  throw invalid("name", "format", "name must not have a colon");
}

export function checkKeyLabel(label: string): string {
  return checkText("label", label, ACCOUNT_LIMITS.label);
}

/** An app's name, or the beginning of names followed by `*`. */
export function checkAppPattern(pattern: string): string {
  if (APP_PATTERN.test(pattern)) return pattern;
  throw invalid(
    "apps",
    pattern === "" ? "missing" : "format",
    "each of apps must be 3 to 20 characters of [A-Za-z0-9_-], or 1 to 19 of them and a *",
  );
}

/** A password that is to be set. Control characters are refused because Basic cannot carry them. */
export function checkPassword(password: string): string {
  const { passwordMin, passwordMax } = ACCOUNT_LIMITS;
  if (isText(password, passwordMax) && [...password].length >= passwordMin) return password;
  // The message must not repeat the value.
  throw invalid(
    "password",
    password === "" ? "missing" : "format",
    `password must be ${passwordMin} to ${passwordMax} characters of Unicode text without control characters`,
  );
}

/** Whether the account may touch sessions of the app. */
export function mayTouch({ role, apps }: Account, app: string): boolean {
  if (role === "Admin") return true;
  return apps.some((pattern) =>
    pattern.endsWith("*") ? app.startsWith(pattern.slice(0, -1)) : app === pattern,
  );
}

/** A new API key: `lk_` and 43 characters of base64url (256 bits). */
export function newApiKey(randomBytes: RandomBytes): string {
  return `lk_${Buffer.from(randomBytes(32)).toString("base64url")}`;
}

/** The form of an API key that stores keep. */
export function hashApiKey(key: string): KeyHash {
  return hash("sha256", key, "base64url") as KeyHash;
}
