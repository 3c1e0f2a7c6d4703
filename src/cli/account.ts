import { randomBytes } from "node:crypto";
import { Command, Option } from "commander";
import {
  checkAccountName,
  checkAppPattern,
  checkKeyLabel,
  checkPassword,
  hashApiKey,
  newApiKey,
  type Role,
} from "../domain/accounts/account.js";
import type { AccountStore, StoredAccount } from "../domain/accounts/account-store.js";
import { invalid, LatchkeyError } from "../domain/error.js";
import { createPasswords } from "../services/logins/passwords.js";
import type { StoreLocation } from "../stores/index.js";
import { openAccountStore } from "../stores/sqlite/accounts/store.js";
import { isFileThere } from "../stores/sqlite/file/presence.js";
import { type PasswordInput, readPassword } from "./password-input.js";
import { formatTable } from "./table.js";

export interface AccountCommandOptions extends PasswordInput {
  /** Where accounts are kept; asked for when a command runs. */
  readonly location: () => StoreLocation;
  /** Who makes the changes, for the log of a server. */
  readonly actor: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly stdout: NodeJS.WritableStream;
}

interface AddFlags {
  readonly role: Role;
  readonly apps?: string;
  readonly rke: boolean;
  readonly passwordStdin: boolean;
}

const DAY = 86_400_000;
const LONGEST_DAYS = 36_500;

/** `latchkey account …`, which changes accounts beside a server or without one. */
export function createAccountCommand(options: AccountCommandOptions): Command {
  const { location, actor, now, stdout, stderr } = options;
  const passwords = createPasswords();

  const withStore = async (work: (store: AccountStore) => Promise<void>, isNew = false) => {
    const store = openAccountStore({ path: pathOf(location(), isNew), actor, now });
    try {
      await work(store);
    } finally {
      store.close();
    }
  };
  const print = (text: string) => {
    stdout.write(text);
  };
  const printList = (json: boolean | undefined, list: readonly object[], table: () => string) =>
    print(json ? `${JSON.stringify(list, null, 2)}\n` : table());

  const account = new Command("account").description(
    "Accounts and their API keys. A running server heeds a change within a second.",
  );

  account
    .command("add")
    .description(
      "Add an account. It needs a password, a key, or a client certificate of its name to be used.",
    )
    .argument("<name>", "1 to 64 characters, no colon")
    .addOption(
      new Option("--role <role>", "Admin: everything; User: the sessions of its apps")
        .choices(["Admin", "User"])
        .default("User"),
    )
    .option(
      "--apps <apps>",
      "what a User may touch: names, or prefixes as shop-*, with commas between; without, nothing",
    )
    .option("--rke", "it may use RKE", false)
    .option("--password-stdin", "set the password in the first line of standard input", false)
    .action((name: string, { role, apps, rke, passwordStdin }: AddFlags) => {
      checkAccountName(name);
      const patterns = apps?.split(",").map((pattern) => checkAppPattern(pattern.trim())) ?? [];
      return withStore(async (store) => {
        const hash = passwordStdin ? await readHash() : null;
        await store.add({ name, role, apps: patterns, rke }, hash);
        if (hash !== null) return;
        stderr.write("added; next: latchkey account passwd, or latchkey account key add\n");
      }, true);
    });

  account
    .command("list")
    .description("List all accounts.")
    .option("--json", "as JSON")
    .action(({ json }: { json?: boolean }) =>
      withStore(async (store) => {
        const { accounts } = await store.load();
        const list = accounts.map(({ account, passwordHash, keys }) => ({
          ...account,
          password: passwordHash !== null,
          keys: keys.length,
        }));
        printList(json, list, () =>
          formatTable(
            ["NAME", "ROLE", "APPS", "RKE", "ENABLED", "PASSWORD", "KEYS"],
            list.map(({ name, role, apps, rke, enabled, password, keys }) => [
              name,
              role,
              role === "Admin" ? "all" : apps.join(",") || "none",
              yesNo(rke),
              yesNo(enabled),
              yesNo(password),
              String(keys),
            ]),
          ),
        );
      }),
    );

  for (const [verb, enabled, meaning] of [
    ["disable", false, "Refuse its credentials and end its connections, until it is enabled."],
    ["enable", true, "Accept its credentials again."],
  ] as const) {
    account
      .command(verb)
      .description(meaning)
      .argument("<name>")
      .action((name: string) => withStore((store) => store.setEnabled(name, enabled)));
  }

  account
    .command("remove")
    .description("Remove an account and its keys, and end its connections.")
    .argument("<name>")
    .action((name: string) => withStore((store) => store.remove(name)));

  account
    .command("passwd")
    .description(
      "Set the password: asked for at a terminal, else the first line of standard input.",
    )
    .argument("<name>")
    .action((name: string) =>
      withStore(async (store) => {
        await find(store, name);
        await store.setPassword(name, await readHash());
      }),
    );

  const key = account.command("key").description("API keys of an account.");

  key
    .command("add")
    .description("Make a key and print it: this once, for only its hash is kept.")
    .argument("<name>", "the account")
    .requiredOption("--label <label>", "what the key is for, 1 to 64 characters")
    .option(
      "--expires <when>",
      "days from now, or when: 2027-01-31 (to the end of that day, UTC) or 2027-01-31T12:00Z; without, never",
    )
    .action((name: string, { label, expires }: { label: string; expires?: string }) => {
      checkKeyLabel(label);
      const createdAt = now();
      const expiresAt = expires === undefined ? null : readExpiry(expires, createdAt);
      return withStore(async (store) => {
        const secret = newApiKey(randomBytes);
        const added = await store.addKey(name, {
          label,
          createdAt,
          expiresAt,
          hash: hashApiKey(secret),
        });
        print(`${secret}\n`);
        stderr.write(`key ${added.id}: keep it now, it is not shown again\n`);
      });
    });

  key
    .command("list")
    .description("List the keys of an account, never the keys themselves.")
    .argument("<name>", "the account")
    .option("--json", "as JSON")
    .action((name: string, { json }: { json?: boolean }) =>
      withStore(async (store) => {
        const list = (await find(store, name)).keys.map((one) => ({
          id: one.id,
          label: one.label,
          created_at: showTime(one.createdAt),
          expires_at: showTime(one.expiresAt),
          last_used_at: showTime(one.lastUsedAt),
        }));
        printList(json, list, () =>
          formatTable(
            ["ID", "LABEL", "CREATED", "EXPIRES", "LAST USED"],
            list.map(({ id, label, created_at, expires_at, last_used_at }) => [
              String(id),
              label,
              created_at ?? "",
              expires_at ?? "never",
              last_used_at ?? "never",
            ]),
          ),
        );
      }),
    );

  key
    .command("revoke")
    .description("End a key for good.")
    .argument("<name>", "the account")
    .argument("<id>", "the key's number, as `key list` shows it")
    .action((name: string, id: string) => {
      if (!/^\d{1,15}$/.test(id)) {
        throw invalid("id", "format", "id must be the key's number, as `key list` shows it");
      }
      return withStore((store) => store.revokeKey(name, Number(id)));
    });

  const readHash = async () => passwords.hash(checkPassword(await readPassword(options)));

  return account;
}

/** The database's path. Only an account that is added makes a new one. */
function pathOf(location: StoreLocation, isNew: boolean): string {
  if (location.scheme !== "sqlite") {
    throw new LatchkeyError(
      "invalid",
      "LATCHKEY_STORE is memory:, which has no accounts: it must be sqlite:PATH",
    );
  }
  if (isNew || isFileThere(location.path)) return location.path;
  throw new LatchkeyError(
    "not_found",
    `there is no database at ${location.path}: set LATCHKEY_STORE, or add an account, which makes it`,
  );
}

async function find(store: AccountStore, name: string): Promise<StoredAccount> {
  const { accounts } = await store.load();
  const found = accounts.find(({ account }) => account.name === name);
  if (found) return found;
  throw new LatchkeyError("not_found", `there is no account ${name}`);
}

/** Milliseconds since 1970, from days or a date. */
function readExpiry(text: string, now: number): number {
  const wrong = (reason: string) => invalid("expires", "value", `--expires ${reason}`);
  if (/^\d+$/.test(text)) {
    const days = Number(text);
    if (days >= 1 && days <= LONGEST_DAYS) return now + days * DAY;
    throw wrong(`must be 1 to ${LONGEST_DAYS} days`);
  }
  const date = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d)?Z)?$/.exec(text);
  const start = date ? Date.parse(text) : Number.NaN;
  // A day that its month does not have is taken for one of the next.
  if (Number.isNaN(start) || !new Date(start).toISOString().startsWith(date?.[1] ?? "")) {
    throw wrong("must be a number of days, or a date as 2027-01-31 or 2027-01-31T12:00Z");
  }
  const end = date?.[2] === undefined ? start + DAY : start;
  if (end > now) return end;
  throw wrong("must not be in the past");
}

/** ISO 8601 in UTC. */
function showTime(at: number): string;
function showTime(at: number | null): string | null;
function showTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}
