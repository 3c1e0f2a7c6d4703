import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { startProcess } from "./process.js";
import type { Server, Site } from "./servers.js";

/** Starts a cluster of one etcd on free loopback ports, its data in the site's folder. */
export async function startEtcd(site: Site, env: NodeJS.ProcessEnv): Promise<Server> {
  const { root, dir, signal } = site;
  const clients = `http://127.0.0.1:${await freePort()}`;
  const peers = `http://127.0.0.1:${await freePort()}`;
  const etcd = await startProcess({
    name: "etcd",
    argv: [
      "etcd",
      ...["--data-dir", join(dir, "etcd")],
      ...["--listen-client-urls", clients, "--advertise-client-urls", clients],
      ...["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers],
      ...["--initial-cluster", `default=${peers}`],
    ],
    env,
    cwd: root,
    dir,
  });
  try {
    const isReady = (line: string) => line.includes("ready to serve client requests") || undefined;
    await etcd.waitFor(isReady, signal);
  } catch (error) {
    await etcd.stop();
    throw error;
  }
  return {
    http: clients,
    grpc: new URL(clients).host,
    serves: "etcd",
    pid: etcd.pid,
    hasMetrics: false,
    checkRunning: etcd.checkRunning,
    stop: etcd.stop,
  };
}

/** A port that is free at the moment: etcd does not tell which it takes of its own choice. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("not on a TCP port");
  return address.port;
}
