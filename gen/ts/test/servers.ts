import type { TestContext } from "node:test";
import { startProgram } from "../../../test/support/process/program.js";
import { ROOT } from "../../../test/support/process/server.js";

/** What test/system/clients/servers.ts prints: see test/system/clients/README.md. */
export interface Announcement {
  readonly servers: Readonly<Record<string, { readonly grpc: string; readonly http: string }>>;
  readonly keys: Readonly<Record<string, string>>;
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly rke: { readonly domain: string; readonly walletPath: string };
}

export interface Servers extends Announcement {
  /** Stops or starts the server of this name. */
  tell(verb: "stop" | "start", name: string): Promise<void>;
}

/** Starts the servers of test/system/clients, which end with the test. */
export async function startServers(t: TestContext): Promise<Servers> {
  const program = startProgram(t, {
    argv: [process.execPath, "--import", "tsx", "test/system/clients/servers.ts"],
    cwd: ROOT,
    env: {},
    hasInput: true,
  });
  let lines = 0;
  const nextLine = async (): Promise<unknown> => {
    const at = lines++;
    return JSON.parse(
      await program.waitFor(() => {
        const all = program.output.stdout.split("\n");
        return at < all.length - 1 ? all[at] : undefined;
      }),
    );
  };
  const announcement = (await nextLine()) as Announcement;
  return {
    ...announcement,
    async tell(verb, name) {
      program.write(`${verb} ${name}\n`);
      await nextLine();
    },
  };
}
