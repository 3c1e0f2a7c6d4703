import type { Account, Role } from "../../src/domain/accounts/account.js";
import { LatchkeyError } from "../../src/domain/error.js";
import type { Authentication, Identity } from "../../src/services/access/authentication.js";

export interface Credentials {
  readonly key?: string;
  /** When the key expires: milliseconds since 1970. */
  readonly expiresAt?: number;
  readonly password?: string;
}

interface Entry {
  readonly account: Account;
  readonly credentials: Credentials;
  /** The account is gone, or only what it showed until now. */
  ended: "no" | "account" | "credentials";
}

export type Accounts = ReturnType<typeof createAccounts>;

/**
 * Accounts in memory, as plain as can be, that tell what was asked of them. A Basic header is
 * `Basic name:password` here, and the identity that `endCredentials` ended is so for good.
 */
export function createAccounts() {
  const entries = new Map<string, Entry>();
  const checked: string[] = [];
  const addresses: string[] = [];
  let standings = 0;
  const noted: string[] = [];
  let created = 0;

  const refuse = (): never => {
    throw new LatchkeyError("unauthenticated", "unknown account or wrong password");
  };
  const give = (entry: Entry | undefined, keyId: number | null): Identity => {
    if (entry?.ended !== "no") return refuse();
    const { account, credentials } = entry;
    const expiresAt = keyId === null ? null : (credentials.expiresAt ?? null);
    return { account, keyId, passwordChanges: null, expiresAt };
  };
  const byPassword = async (name: string, password: string, address: string) => {
    addresses.push(address);
    const entry = entries.get(name);
    const given = entry?.credentials.password === password ? give(entry, null) : refuse();
    // As long as it takes, others have their turn.
    await new Promise(setImmediate);
    return given;
  };

  return {
    /** The headers that had to be verified. */
    checked: checked as readonly string[],
    /** The addresses that were told with them. */
    addresses: addresses as readonly string[],
    /** The accounts whose later use was told. */
    noted: noted as readonly string[],
    /** How often a standing was asked for. */
    standings: () => standings,
    add(name: string, role: Role, credentials: Credentials) {
      const account = { id: ++created, name, role, apps: [], rke: false, enabled: true };
      entries.set(name, { account, credentials, ended: "no" });
    },
    get: (name: string) => entries.get(name)?.account,
    /** Ends the account. */
    remove(name: string) {
      const entry = entries.get(name);
      if (entry) entry.ended = "account";
    },
    /** Ends all that the account can show. */
    endCredentials(name: string) {
      const entry = entries.get(name);
      if (entry) entry.ended = "credentials";
    },
    authentication: (now: () => number): Authentication => ({
      byHeader(header, address) {
        checked.push(header);
        const [, scheme, value = ""] = /^(\w+) (.*)$/.exec(header) ?? [];
        if (scheme === "Basic") {
          const [name = "", password = ""] = value.split(":");
          return byPassword(name, password, address);
        }
        addresses.push(address);
        const entry = [...entries.values()].find(({ credentials }) => credentials.key === value);
        const expiresAt = entry?.credentials.expiresAt ?? Number.POSITIVE_INFINITY;
        return now() < expiresAt ? give(entry, 1) : refuse();
      },
      byPassword,
      byCertificate: (commonName) => give(entries.get(commonName), null),
      noteUse: ({ account }) => noted.push(account.name),
      standing({ account }) {
        standings++;
        switch (entries.get(account.name)?.ended) {
          case "no":
            return "valid";
          case "credentials":
            return "credential ended";
          default:
            return "account ended";
        }
      },
    }),
  };
}
