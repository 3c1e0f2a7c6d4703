/**
 * The servers that the scenarios of test/system/clients/README.md are played against, as a program for
 * every language's runner:
 *
 *     node --import tsx test/system/clients/servers.ts
 *
 * It prints one line of JSON when they listen, obeys commands on its standard input, and ends when
 * that is closed.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pino } from "pino";
import type { Config } from "../../../src/config/config.js";
import { hashApiKey, newApiKey } from "../../../src/domain/accounts/account.js";
import type { NewAccount } from "../../../src/domain/accounts/account-store.js";
import { startDevnet } from "../../../src/rke/devnet/devnet.js";
import { openKeyExchange } from "../../../src/rke/open.js";
import { type Server, start } from "../../../src/server/start.js";
import { openAccountStore } from "../../../src/stores/sqlite/accounts/store.js";
import { createConfig, RKE } from "../../support/config.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { withFaults } from "./faults.js";

/** Whose API keys the scenarios use. Every app of theirs begins with `u-`. */
const ACCOUNTS = [
  { name: "admin", role: "Admin", apps: [], rke: false },
  { name: "user", role: "User", apps: ["u-*"], rke: false },
  { name: "rke", role: "User", apps: [], rke: true },
] as const satisfies NewAccount[];

const log = pino({ level: "silent" });
const folder = mkdtempSync(join(tmpdir(), "latchkey-clients-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const devnet = await startDevnet({
  domain: "devnet.test",
  folder: join(folder, "devnet"),
  random: randomBytes,
});
const rke = {
  ...RKE,
  wallets: devnet.env.LATCHKEY_RKE_WALLETS,
  resolvers: [devnet.env.LATCHKEY_RKE_RESOLVERS],
};
const keyExchange = withFaults(
  openKeyExchange(rke, {
    now: Date.now,
    randomBytes,
    random: Math.random,
    observer: { onShare: () => undefined, onDropped: () => undefined },
    logger: log,
  }),
  "devnet.test",
);

const authority = createAuthority();
const write = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const ca = write("ca.pem", authority.cert);
const issue = (account: string, name: string) => {
  const { cert, key } = authority.issue(account);
  return { cert: write(`${name}.pem`, cert), key: write(`${name}.key`, key) };
};
const client = issue("user", "client");
const own = issue("localhost", "server");
authority.close();

/** How the servers differ. */
const SETTINGS: Readonly<Record<string, Partial<Config>>> = {
  open: {},
  auth: { auth: "required" },
  tls: { auth: "required", tls: { ...own, clientCa: null } },
  mtls: { auth: "required", tls: { ...own, clientCa: ca } },
};

const keys: Record<string, string> = { wrong: newApiKey(randomBytes) };
for (const { name } of ACCOUNTS) keys[name] = newApiKey(randomBytes);

async function addAccounts(path: string): Promise<void> {
  const store = openAccountStore({ path, actor: "test/system/clients/servers.ts", now: Date.now });
  for (const account of ACCOUNTS) {
    await store.add(account, null);
    const hash = hashApiKey(keys[account.name] ?? "");
    await store.addKey(account.name, { label: "test", createdAt: 0, expiresAt: null, hash });
  }
  store.close();
}

/** One of the servers, which keeps its addresses and its database when it is started anew. */
async function openServer(name: string, settings: Partial<Config>) {
  mkdirSync(join(folder, name));
  const path = join(folder, name, "latchkey.db");
  if (settings.auth === "required") await addAccounts(path);
  let at = { grpc: "127.0.0.1:0", http: "127.0.0.1:0" };
  let server: Server | undefined;
  const open = async () => {
    const config = createConfig({
      ...at,
      command: null,
      publicParts: [],
      store: { scheme: "sqlite", path },
      rke,
      ...settings,
    });
    const onFatal = (error: unknown) => {
      throw error;
    };
    server = await start({ config, logger: log, version: "0.0.0-test", keyExchange, onFatal });
    const { grpc = "", http = "" } = server.addresses;
    at = { grpc, http };
  };
  await open();
  return {
    addresses: { grpc: at.grpc, http: `${settings.tls ? "https" : "http"}://${at.http}` },
    start: open,
    stop: async () => server?.close(),
  };
}

const servers = new Map<string, Awaited<ReturnType<typeof openServer>>>();
for (const [name, settings] of Object.entries(SETTINGS)) {
  servers.set(name, await openServer(name, settings));
}

const tell = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);
tell({
  servers: Object.fromEntries([...servers].map(([name, { addresses }]) => [name, addresses])),
  keys,
  files: { ca, ...client },
  rke: { domain: "devnet.test", walletPath: devnet.wallet },
});

for await (const command of createInterface({ input: process.stdin })) {
  const [verb, name = ""] = command.split(" ");
  const server = servers.get(name);
  if (!server || (verb !== "start" && verb !== "stop")) {
    throw new Error(`the commands are "stop NAME" and "start NAME", not "${command}"`);
  }
  await server[verb]();
  tell({ done: command });
}
// The runner has gone, or is done: calls that it left are not waited for.
await devnet.close();
process.exit();
