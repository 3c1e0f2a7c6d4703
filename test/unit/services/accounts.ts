import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { hashApiKey, newApiKey } from "../../../src/domain/accounts/account.js";
import type { AccountStore, NewAccount } from "../../../src/domain/accounts/account-store.js";
import { openAccounts, withFolder } from "../../support/stores/database.js";

export const NOW = 1_750_000_000_000;

/** A User that may touch `shop`. */
export const user = (name: string): NewAccount => ({
  name,
  role: "User",
  apps: ["shop"],
  rke: false,
});

/** Runs `body` over the accounts of a new database. */
export const withAccounts = (body: (store: AccountStore) => Promise<void>): Promise<void> =>
  withFolder(async (folder) => {
    const store = openAccounts(join(folder, "latchkey.db"), { now: () => NOW });
    try {
      await body(store);
    } finally {
      store.close();
    }
  });

/** Gives the account a key; answers it and its number. */
export async function addKey(store: AccountStore, name: string, expiresAt: number | null = null) {
  const key = newApiKey(randomBytes);
  const fields = { label: "a key", createdAt: NOW, expiresAt, hash: hashApiKey(key) };
  return { key, id: (await store.addKey(name, fields)).id };
}
