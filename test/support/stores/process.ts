import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A process that did what it was told and waits. */
export interface Child {
  /** Ends it as a crash would; resolves when it is gone. */
  kill(): Promise<void>;
}

/** What the script of a child may use. */
const PRELUDE = `
  import Sqlite from "better-sqlite3";
  import { openSqliteStore } from "${new URL("../../../src/stores/sqlite/open.ts", import.meta.url)}";
  const observer = { committed() {}, swept() {} };
  const open = (path) => openSqliteStore({ path, observer, clock: () => 0, onFatal() {}, cacheBytes: 2 ** 24 });
  const connect = (path) => new Sqlite(path, { timeout: 0 });
  const ready = () => process.stdout.write("ready");
  // Not to outlive the test.
  process.stdin.resume().on("end", () => process.exit());
`;

/** Runs `script` in another process until it calls `ready`. */
export async function runChild(script: string): Promise<Child> {
  const child = spawn(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", PRELUDE + script],
    {
      cwd: fileURLToPath(new URL("../../..", import.meta.url)),
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const gone = once(child, "exit");
  await Promise.race([
    once(child.stdout, "data"),
    gone.then(([code]) => {
      throw new Error(`the process ended with ${code} before it was ready`);
    }),
  ]);
  return {
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}
