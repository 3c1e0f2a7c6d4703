import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { type Scope, startProgram } from "../../support/process/program.js";
import { makeFolder, ROOT } from "../../support/process/server.js";

/** Programs that pass calls on, with their arguments: see proxies/README.md. */
const ARGUMENTS = {
  nginx: "-c CONFIG -e FOLDER/error.log",
  haproxy: "-q -f CONFIG",
  caddy: "run --adapter caddyfile --config CONFIG",
  envoy: "-c CONFIG --log-level off --disable-hot-restart",
} as const;

export type ProxyName = keyof typeof ARGUMENTS;
export const PROXIES = Object.keys(ARGUMENTS) as ProxyName[];

/** Where a proxy or a server listens, each `host:port`. */
export interface Addresses {
  readonly grpc: string;
  readonly http: string;
}

export function isInstalled(name: ProxyName): boolean {
  try {
    execFileSync("which", [name], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Starts a proxy before a server, which need not listen yet, and waits until it listens. */
export async function startProxy(t: Scope, name: ProxyName, server: Addresses): Promise<Addresses> {
  const folder = await makeFolder(t);
  const [grpc, http] = [await freeAddress(), await freeAddress()];
  const config = join(folder, "proxy.yaml");
  const values: readonly (readonly [string, string])[] = [
    ["GRPC_PORT", portOf(grpc)],
    ["HTTP_PORT", portOf(http)],
    ["GRPC_SERVER", portOf(server.grpc)],
    ["HTTP_SERVER", portOf(server.http)],
    ["FOLDER", folder],
    ["CONFIG", config],
  ];
  const fill = (text: string) =>
    values.reduce((filled, [word, value]) => filled.replaceAll(word, value), text);
  const template = await readFile(join(ROOT, `test/system/clients/proxies/${name}.conf`), "utf8");
  await writeFile(config, fill(template));
  startProgram(t, {
    argv: [name, ...fill(ARGUMENTS[name]).split(" ")],
    cwd: folder,
    env: { HOME: folder },
    hasChildren: true,
  });
  await Promise.all([listens(grpc), listens(http)]);
  return { grpc, http };
}

/** An address at which nothing listens. */
export async function freeAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("it has no port");
  return `127.0.0.1:${address.port}`;
}

const portOf = (address: string) => address.slice(address.lastIndexOf(":") + 1);

/** Resolves when something listens at the address. */
async function listens(address: string): Promise<void> {
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(portOf(address)), "127.0.0.1");
      const tell = (answer: boolean) => {
        socket.destroy();
        resolve(answer);
      };
      socket.on("connect", () => tell(true)).on("error", () => tell(false));
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
