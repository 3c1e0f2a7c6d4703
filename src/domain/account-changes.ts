import type { StoredAccount } from "./account-store.js";

/** One thing that changed, to be logged. */
export interface AccountChange {
  /** The account's name. */
  readonly account: string;
  readonly change:
    | "added"
    | "removed"
    | "enabled"
    | "disabled"
    | "password set"
    | "key added"
    | "key revoked";
  /** Which key it was, if it was one. */
  readonly keyId?: number;
}

/** What happened to accounts and keys between two states. A new hash of the same password is nothing. */
export function changesBetween(
  before: readonly StoredAccount[],
  after: readonly StoredAccount[],
): AccountChange[] {
  const older = new Map(before.map((stored) => [stored.account.id, stored]));
  const newer = new Set(after.map(({ account }) => account.id));
  const removed = before.filter(({ account }) => !newer.has(account.id));
  return [
    ...removed.map(({ account }) => ({ account: account.name, change: "removed" as const })),
    ...after.flatMap((stored) => changesOf(older.get(stored.account.id), stored)),
  ];
}

function changesOf(before: StoredAccount | undefined, after: StoredAccount): AccountChange[] {
  const { name, enabled } = after.account;
  const changes: AccountChange[] = [];
  const add = (change: AccountChange["change"], keyId?: number) => {
    changes.push({ account: name, change, ...(keyId === undefined ? {} : { keyId }) });
  };
  if (!before) add("added");
  if (enabled !== (before?.account.enabled ?? true)) add(enabled ? "enabled" : "disabled");
  if (before && before.passwordChanges !== after.passwordChanges) add("password set");
  const idsOf = (stored: StoredAccount | undefined) =>
    new Set(stored?.keys.map(({ id }) => id) ?? []);
  const [older, newer] = [idsOf(before), idsOf(after)];
  for (const id of older) if (!newer.has(id)) add("key revoked", id);
  for (const id of newer) if (!older.has(id)) add("key added", id);
  return changes;
}
