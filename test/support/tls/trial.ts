import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Config } from "../../../src/config/config.js";
import { hashApiKey, newApiKey } from "../../../src/domain/accounts/account.js";
import { start } from "../../../src/server/start.js";
import { openAccountStore } from "../../../src/stores/sqlite/accounts/store.js";
import { createConfig } from "../config.js";
import type { Scope } from "../process/program.js";
import type { Certificate } from "./certificates.js";

export type Addresses = Readonly<Record<"grpc" | "http" | "command", string>>;

/** What a server is to have in its TLS files. */
export interface Files extends Certificate {
  /** The authority of its clients; without one they need no certificate. */
  readonly clientCa?: string;
}

/** The TLS files of a server, in a folder of their own. */
export function createFiles(files: Files) {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-tls-"));
  const live = join(folder, "live");
  mkdirSync(live);
  const paths = {
    cert: join(live, "tls.crt"),
    key: join(live, "tls.key"),
    clientCa: files.clientCa === undefined ? null : join(live, "ca.crt"),
  };
  const replace = (path: string | null, text: string | undefined) => {
    if (path === null || text === undefined) return;
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  const put = (changed: Partial<Files>) => {
    replace(paths.cert, changed.cert);
    replace(paths.key, changed.key);
    replace(paths.clientCa, changed.clientCa);
  };
  put(files);
  return {
    folder,
    paths,
    /** Puts others in their place, each by a rename, as certbot does. */
    put,
    /** Removes the folder. */
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }),
  };
}

/** The accounts of the database at `path`, these Admins added. */
export async function openAccounts(path: string, ...names: string[]) {
  const accounts = openAccountStore({ path, actor: "a test", now: Date.now });
  for (const name of names) await accounts.add({ name, role: "Admin", apps: [], rke: false }, null);
  return {
    ...accounts,
    /** A new key of the account. */
    async newKey(name: string): Promise<string> {
      const key = newApiKey(randomBytes);
      const fields = { label: "test", createdAt: 0, expiresAt: null, hash: hashApiKey(key) };
      await accounts.addKey(name, fields);
      return key;
    },
  };
}

/** A server with all listeners over TLS and a SQLite file, with the accounts ann and bob. */
export async function startTls(t: Scope, given: Files, settings: Partial<Config> = {}) {
  const files = createFiles(given);
  const path = join(files.folder, "latchkey.db");
  const accounts = await openAccounts(path, "ann", "bob");
  const log: string[] = [];
  const server = await start({
    config: createConfig({
      auth: "required",
      tls: files.paths,
      store: { scheme: "sqlite", path },
      logLevel: "info",
      ...settings,
    }),
    logger: pino({ level: "info" }, { write: (line) => log.push(line) }),
    version: "test",
    onFatal: (error) => {
      throw error;
    },
  });
  t.after(async () => {
    await server.close();
    accounts.close();
    files.remove();
  });
  const { grpc = "", http = "", command = "" } = server.addresses;
  const addresses: Addresses = { grpc, http, command };
  return { files, accounts, server, addresses, log };
}
