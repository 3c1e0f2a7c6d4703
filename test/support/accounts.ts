import { randomBytes } from "node:crypto";
import { hashApiKey, newApiKey } from "../../src/domain/accounts/account.js";
import type { AccountStore, NewAccount } from "../../src/domain/accounts/account-store.js";
import { createPasswords } from "../../src/services/logins/passwords.js";
import { openAccountStore } from "../../src/stores/sqlite/accounts/store.js";
import { eventually } from "./eventually.js";
import { NOW, startServer, type TestServer } from "./transports/server.js";

/** An account with all that it may prove itself by. */
export interface TestAccount {
  readonly name: string;
  readonly password: string;
  /** Its API key, and that key's number. */
  readonly key: string;
  readonly keyId: number;
  /** `authorization` headers. */
  readonly bearer: string;
  readonly basic: string;
}

/** A server that requires authentication, and the accounts beside it. */
export interface Guarded extends TestServer {
  /** The accounts as a command line beside the server changes them. */
  readonly accounts: AccountStore;
  /** An Admin. */
  readonly admin: TestAccount;
  /** A User of the app `shop`. */
  readonly ann: TestAccount;
  /** A User of the apps `shop-*`. */
  readonly bob: TestAccount;
  /** Adds an account with a password and a key, of which the server may not know yet. */
  add(account: Partial<NewAccount> & Pick<NewAccount, "name">): Promise<TestAccount>;
  /** The lines logged with this message, parsed. */
  logged(msg: string): Record<string, unknown>[];
}

type Settings = Parameters<typeof startServer>[2];

export const basicOf = (name: string, password: string) =>
  `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;

/** Starts a server over SQLite, its log at trace, and makes accounts while it runs. */
export async function startGuarded(settings: Settings = {}): Promise<Guarded> {
  const server = await startServer("sqlite", "trace", { auth: "required", ...settings });
  const accounts = openAccountStore({ path: server.path, actor: "a test", now: () => NOW });
  const passwords = createPasswords();
  const add: Guarded["add"] = async ({ name, role = "User", apps = [], rke = false }) => {
    const password = `${randomBytes(9).toString("base64")} of ${name}`;
    await accounts.add({ name, role, apps, rke }, await passwords.hash(password));
    const key = newApiKey(randomBytes);
    const fields = { label: "a key", createdAt: NOW, expiresAt: null, hash: hashApiKey(key) };
    const { id: keyId } = await accounts.addKey(name, fields);
    const basic = basicOf(name, password);
    return { name, password, key, keyId, bearer: `Bearer ${key}`, basic };
  };
  const logged: Guarded["logged"] = (msg) =>
    server.log
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((line) => line["msg"] === msg);
  const close = async () => {
    accounts.close();
    await server.close();
  };
  try {
    const admin = await add({ name: "admin", role: "Admin" });
    const ann = await add({ name: "ann", apps: ["shop"] });
    const bob = await add({ name: "bob", apps: ["shop-*"] });
    await eventually("the server's knowledge of the accounts", () => {
      const known = logged("account changed").filter(({ change }) => change === "key added");
      return known.length === 3;
    });
    return { ...server, accounts, admin, ann, bob, add, logged, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs `body` with a server as `startGuarded` starts it, and closes it, whatever happens. */
export async function withGuarded(
  body: (server: Guarded) => Promise<void>,
  settings: Settings = {},
): Promise<void> {
  const server = await startGuarded(settings);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}
