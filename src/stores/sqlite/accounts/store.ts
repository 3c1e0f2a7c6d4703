import { resolve } from "node:path";
import Sqlite, { type Database } from "better-sqlite3";
import {
  ACCOUNT_LIMITS,
  type Account,
  type ApiKey,
  type KeyHash,
  type Role,
} from "../../../domain/accounts/account.js";
import type {
  AccountChange,
  AccountStore,
  StoredAccount,
  StoredKey,
} from "../../../domain/accounts/account-store.js";
import { LatchkeyError } from "../../../domain/error.js";
import { isBusy, openFailure, translateFailure } from "../file/failure.js";
import { useWriteAheadLog } from "../file/journal-mode.js";
import { freeBytesAt } from "../file/presence.js";
import { createPrivate } from "../file/private-file.js";
import { migrate } from "../tables/schema.js";
import { createKeyUses } from "./key-uses.js";

/** Changes that are kept, to be told to servers that look for them. */
const KEPT_CHANGES = 1_000;

export interface AccountStoreOptions {
  /** The database file; it and its folder are made if missing, readable by this user only. */
  readonly path: string;
  /** Who makes the changes made here: this process, in words for an operator. */
  readonly actor: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long (ms) a change waits, holding up this process, while another process writes. */
  readonly busyTimeout?: number;
  /** How many accounts there may be; those that are there beyond it stay. */
  readonly maxAccounts?: number;
}

/**
 * Opens the accounts of a database on a connection of its own, beside a server or
 * without one, and brings the schema up to date. Throws `unavailable` if the file
 * cannot be used or a later version wrote it.
 */
export function openAccountStore(options: AccountStoreOptions): AccountStore {
  const { path, busyTimeout = 2_000 } = options;
  let db: Database | undefined;
  try {
    db = openDatabase(createPrivate(resolve(path)), busyTimeout);
    migrate(db);
    return createAccountStore(db, options);
  } catch (error) {
    db?.close();
    if (error instanceof LatchkeyError) throw error;
    const reason = openFailure(error, () => freeBytesAt(path));
    throw new LatchkeyError("unavailable", `cannot use ${path}: ${reason}`, { cause: error });
  }
}

function openDatabase(path: string, timeout: number): Database {
  const db = new Sqlite(path, { timeout });
  useWriteAheadLog(db);
  db.pragma("synchronous = FULL");
  db.pragma("foreign_keys = ON");
  // A server copies its log into the database by itself, and else the last connection to close
  // does: a change here should not have to.
  db.pragma("wal_autocheckpoint = 0");
  return db;
}

interface AccountRow {
  readonly id: number;
  readonly name: string;
  readonly role: Role;
  readonly apps: string;
  readonly rke: 0 | 1;
  readonly enabled: 0 | 1;
  readonly password_hash: string | null;
  readonly password_changes: number;
}

interface KeyRow {
  readonly id: number;
  readonly account_id: number;
  readonly key_hash: Buffer;
  readonly label: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly last_used_at: number | null;
}

/** A change as its row names it. Servers take up a new hash of the same password, but log none. */
type NotedChange = AccountChange["change"] | "password rehashed";

interface ChangeRow extends Pick<AccountChange, "at" | "actor" | "account" | "change"> {
  readonly key_id: number | null;
}

function createAccountStore(db: Database, options: AccountStoreOptions): AccountStore {
  const { actor, now, maxAccounts = ACCOUNT_LIMITS.accounts } = options;
  const statements = {
    accounts: db.prepare<[], AccountRow>("SELECT * FROM accounts ORDER BY id"),
    keys: db.prepare<[number], KeyRow>("SELECT * FROM api_keys WHERE account_id = ? ORDER BY id"),
    version: db.prepare<[], number | null>("SELECT max(id) FROM account_changes").pluck(),
    changes: db.prepare<[number, number], ChangeRow>(
      `SELECT at, actor, account, change, key_id FROM account_changes
       WHERE id > ? AND id <= ? AND change <> 'password rehashed' ORDER BY id`,
    ),
    note: db.prepare<[number, string, string, NotedChange, number | null]>(
      "INSERT INTO account_changes (at, actor, account, change, key_id) VALUES (?, ?, ?, ?, ?)",
    ),
    forget: db.prepare<[number]>("DELETE FROM account_changes WHERE id <= ?"),
    count: db.prepare<[], number>("SELECT count(*) FROM accounts").pluck(),
    id: db.prepare<[string], number>("SELECT id FROM accounts WHERE name = ?").pluck(),
    insert: db.prepare(
      `INSERT INTO accounts (name, role, apps, rke, enabled, password_hash, password_changes)
       VALUES (?, ?, ?, ?, 1, ?, 0)`,
    ),
    enable: db.prepare<[number, number, number]>(
      "UPDATE accounts SET enabled = ? WHERE id = ? AND enabled <> ?",
    ),
    password: db.prepare(
      `UPDATE accounts SET password_hash = ?, password_changes = password_changes + 1
       WHERE id = ?`,
    ),
    rehash: db
      .prepare<[string, number, string], string>(
        "UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ? RETURNING name",
      )
      .pluck(),
    delete: db.prepare("DELETE FROM accounts WHERE id = ?"),
    insertKey: db.prepare(
      `INSERT INTO api_keys (account_id, key_hash, label, created_at, expires_at)
       VALUES (?, ?, ?, ?, ?)`,
    ),
    deleteKey: db.prepare("DELETE FROM api_keys WHERE id = ? AND account_id = ?"),
  };

  const keyUses = createKeyUses({ db, isBusy });

  /** What `work` answers, with SQLite's failures translated. */
  const attempt = async <T>(work: () => T): Promise<T> => {
    if (!db.open) throw new LatchkeyError("unavailable", "the account store is closed");
    try {
      return work();
    } catch (error) {
      throw translateFailure(error);
    }
  };

  /** Does `work` in a transaction, in which it notes what it changed. */
  const change = <T>(work: () => T): Promise<T> => attempt(() => db.transaction(work).immediate());

  const note = (name: string, change: NotedChange, keyId: number | null = null) => {
    const { lastInsertRowid } = statements.note.run(now(), actor, name, change, keyId);
    statements.forget.run(Number(lastInsertRowid) - KEPT_CHANGES);
  };

  const version = () => statements.version.get() ?? 0;

  const idOf = (name: string): number => {
    const id = statements.id.get(name);
    if (id !== undefined) return id;
    throw new LatchkeyError("not_found", `there is no account ${name}`);
  };

  return {
    load: () =>
      attempt(
        db.transaction(() => {
          const accounts = statements.accounts
            .all()
            .map((row) => toStoredAccount(row, statements.keys.all(row.id).map(toKey)));
          return { version: version(), accounts };
        }),
      ),

    version: () => attempt(version),

    changesSince: (version, upTo) =>
      attempt(() => statements.changes.all(version, upTo).map(toChange)),

    add: (account, passwordHash) =>
      change(() => {
        const { name, role, apps, rke } = account;
        if (statements.id.get(name) !== undefined) {
          throw new LatchkeyError("exists", `there is an account ${name} already`);
        }
        if ((statements.count.get() ?? 0) >= maxAccounts) {
          const message = `there are as many accounts as may be (${maxAccounts}): remove one first`;
          throw new LatchkeyError("limit", message);
        }
        const fields = [name, role, JSON.stringify(apps), Number(rke), passwordHash];
        const { lastInsertRowid } = statements.insert.run(fields);
        note(name, "added");
        return { id: Number(lastInsertRowid), name, role, apps, rke, enabled: true };
      }),

    setEnabled: (name, enabled) =>
      change(() => {
        const { changes } = statements.enable.run(Number(enabled), idOf(name), Number(enabled));
        if (changes > 0) note(name, enabled ? "enabled" : "disabled");
      }),

    setPassword: (name, passwordHash) =>
      change(() => {
        statements.password.run(passwordHash, idOf(name));
        note(name, "password set");
      }),

    remove: (name) =>
      change(() => {
        statements.delete.run(idOf(name));
        note(name, "removed");
      }),

    addKey: (name, { hash, label, createdAt, expiresAt }) =>
      change((): ApiKey => {
        const accountId = idOf(name);
        const bytes = Buffer.from(hash, "base64url");
        const fields = [accountId, bytes, label, createdAt, expiresAt];
        const { lastInsertRowid } = statements.insertKey.run(fields);
        const id = Number(lastInsertRowid);
        note(name, "key added", id);
        return { id, accountId, label, createdAt, expiresAt, lastUsedAt: null };
      }),

    revokeKey: (name, keyId) =>
      change(() => {
        if (statements.deleteKey.run(keyId, idOf(name)).changes === 0) {
          throw new LatchkeyError("not_found", `account ${name} has no key ${keyId}`);
        }
        note(name, "key revoked", keyId);
      }),

    rehash: (accountId, from, to) =>
      change(() => {
        const name = statements.rehash.get(to, accountId, from);
        if (name === undefined) return false;
        note(name, "password rehashed");
        return true;
      }),

    async noteKeyUse(keyId, at) {
      await attempt(() => keyUses.note(keyId, at)).catch((error) => {
        throw translateFailure(error);
      });
    },

    close: () => {
      if (db.open) keyUses.close();
      db.close();
    },
  };
}

function toStoredAccount(row: AccountRow, keys: readonly StoredKey[]): StoredAccount {
  const account: Account = {
    id: row.id,
    name: row.name,
    role: row.role,
    apps: JSON.parse(row.apps) as string[],
    rke: row.rke === 1,
    enabled: row.enabled === 1,
  };
  return {
    account,
    passwordHash: row.password_hash,
    passwordChanges: row.password_changes,
    keys,
  };
}

function toKey(row: KeyRow): StoredKey {
  return {
    id: row.id,
    accountId: row.account_id,
    label: row.label,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    hash: row.key_hash.toString("base64url") as KeyHash,
  };
}

function toChange({ key_id: keyId, ...change }: ChangeRow): AccountChange {
  return keyId === null ? change : { ...change, keyId };
}
