import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { Command } from "commander";
import { readConfig } from "../config/config.js";
import { SETTINGS } from "../config/settings.js";
import { describeFault, LatchkeyError } from "../domain/error.js";
import { processActor } from "../server/process-actor.js";
import type { Server } from "../server/start.js";
import { backupDatabase } from "../stores/sqlite/file/backup.js";
import { isDamage } from "../stores/sqlite/file/failure.js";
import { sqliteVersion } from "../stores/sqlite/file/version.js";
import { createLog } from "../telemetry/logger.js";
import { createAccountCommand } from "./account.js";
import { workInBackground } from "./background.js";
import { createRkeCommand } from "./rke.js";
import { missingFlags } from "./runtime.js";

// By the package's own name, which holds for src/ and for dist/src/ alike.
const { version } = createRequire(import.meta.url)("latchkey/package.json") as { version: string };

/** What runs, as fields of a log line and as words. */
function readVersions() {
  const fields = { version, node: process.versions.node, sqlite: sqliteVersion() };
  return { fields, text: `latchkey ${version}, Node ${fields.node}, SQLite ${fields.sqlite}` };
}

async function serve(flags: Record<string, string | undefined>): Promise<void> {
  const config = readConfig(process.env, flags);
  takeServerFlags();
  const { logger, flush, lost } = await createLog(config.logLevel);
  // Not for the other commands, which run beside a server and would take half a second of its
  // processors for it.
  const { start } = await import("../server/start.js");
  let server: Server | undefined;
  let stopping = false;
  const stop = async (reason: string, status: number) => {
    // A second signal does not wait.
    if (stopping) process.exit(1);
    stopping = true;
    logger.info({ reason }, "stopping");
    let ending = status;
    try {
      await server?.close();
      logger.info("stopped");
    } catch (err) {
      logger.error({ err }, "stopped, with a failure");
      ending = 1;
    }
    await flush();
    process.exit(ending);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void stop(signal, 0));
  }
  process.on("SIGHUP", () => server?.reloadTls());
  // Node would open its debugger, by which keys could be read.
  process.on("SIGUSR1", () => logger.warn("SIGUSR1 does nothing: the debugger stays closed"));
  server = await start({
    config,
    logger,
    lostLines: lost,
    version,
    onFatal: (err) => {
      logger.fatal({ err }, remedyOf(err));
      void stop("storage failure", 1);
    },
  });
  const { fields, text } = readVersions();
  logger.info(fields, text);
}

/** What an operator is told to do about a storage that failed. */
function remedyOf(error: unknown): string {
  if (error instanceof LatchkeyError) return error.message;
  // No restart mends a file.
  return isDamage(error)
    ? "the database is damaged: restore a backup"
    : "the storage failed: restart to recover";
}

/**
 * Makes this process, by the same id, a Node with a server's flags. Where Node cannot (before
 * 22.15, and on Windows) the server runs without them: it is slower, and does the same.
 */
function takeServerFlags(): void {
  const flags = missingFlags(process.execArgv);
  if (flags.length === 0 || process.platform === "win32") return;
  const args = [...process.execArgv, ...flags, ...process.argv.slice(1)];
  process.execve?.(process.execPath, [process.argv0, ...args], process.env);
}

const program = new Command("latchkey")
  .description("Keeps login sessions: gRPC, Connect and JSON from one process.")
  .version(version);

const serveCommand = program
  .command("serve", { isDefault: true })
  .description("Run the server. Every flag is also an environment variable.")
  .action(() => serve(flagsOf(serveCommand.opts())));
for (const { variable, flag, fallback, meaning } of SETTINGS) {
  serveCommand.option(`--${flag} <value>`, `${meaning} [${variable}, default ${fallback}]`);
}

program
  .command("version")
  .description("Print the versions of Latchkey, Node and SQLite.")
  .action(() => void process.stdout.write(`${readVersions().text}\n`));

program
  .command("backup")
  .description("Copy the database to FILE, consistently, while the server runs or not.")
  .argument("<file>", "where to; must not exist")
  .action(async (file: string) => {
    const { store } = readConfig(process.env);
    if (store.scheme !== "sqlite") {
      throw new LatchkeyError("invalid", "LATCHKEY_STORE is memory:, which has nothing to back up");
    }
    await backupDatabase(store.path, file, workInBackground());
  });

program.addCommand(
  createAccountCommand({
    location: () => readConfig(process.env).store,
    actor: processActor(),
    now: Date.now,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
  }),
);

program.addCommand(
  createRkeCommand({
    random: randomBytes,
    stdout: process.stdout,
    stopped: () =>
      new Promise((stop) => {
        for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, stop);
      }),
  }),
);

/** Runs what the arguments (`process.argv`) ask for; a failure is one line, and status 1. */
export async function runCommand(argv: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.stderr.write(`latchkey: ${describeFault(error)}\n`);
    process.exit(1);
  }
}

/** Options by the names of their flags; commander makes `logLevel` of `log-level`. */
function flagsOf(options: Record<string, string | undefined>) {
  const camelCase = (flag: string) => flag.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(SETTINGS.map(({ flag }) => [flag, options[camelCase(flag)]]));
}
