import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { appOf, type Population, tokenOf } from "../data/population.js";
import { type OpenLoad, startOpenLoad } from "../load/open-load.js";
import { residentOf } from "../measure/memory.js";
import { SERVERS, type Server } from "./servers.js";

/** What trials on filled databases run in. */
export interface Place {
  /** The project's folder. */
  readonly root: string;
  /** For their files; on a disk. */
  readonly dir: string;
  readonly signal: AbortSignal;
}

/** Lets `use` have a fresh folder on the project's disk, which is gone afterwards. */
export async function inPlace<T>(
  place: Omit<Place, "dir">,
  use: (place: Place) => Promise<T>,
): Promise<T> {
  const dir = await mkdtemp(join(place.root, "dist", "bench-"));
  try {
    return await use({ ...place, dir });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** A database file that is filled. */
export interface Database {
  readonly path: string;
  readonly population: Population;
  /** LATCHKEY_TURN_CALLS; the default if absent. */
  readonly turnCalls?: number;
}

/** A server on a filled database, and a load on it. */
export interface Serving {
  readonly server: Server;
  /** HTTP address without a path. */
  readonly url: string;
  readonly load: OpenLoad;
  /** Seconds from the start of the process to its answer to the first get. */
  readonly startUp: number;
  /** The server's resident memory then, in MiB. */
  readonly memory: number;
}

/** Lets `use` have Latchkey on the database, in a process of its own, and ends it. */
export async function serve<T>(
  { root, dir, signal }: Place,
  { path: database, population, turnCalls }: Database,
  use: (serving: Serving) => Promise<T>,
): Promise<T> {
  const start = performance.now();
  const server = await SERVERS.latchkey({
    ...{ root, dir, store: "sqlite", database, signal },
    ...(turnCalls === undefined ? {} : { turnCalls }),
  });
  let load: OpenLoad | undefined;
  try {
    const { http: url = "" } = server;
    await getOne(url, population);
    const startUp = (performance.now() - start) / 1_000;
    const memory = residentOf(server.pid);
    load = startOpenLoad(url, signal);
    return await use({ server, url, load, startUp, memory });
  } catch (error) {
    // If it has ended, that is why.
    await server.checkRunning();
    throw error;
  } finally {
    load?.close();
    await server.stop();
  }
}

/** Rejects unless the server answers the population's last session. */
async function getOne(url: string, population: Population): Promise<void> {
  const n = population.count - 1;
  const response = await fetch(`${url}/${appOf(population, n)}/get/${tokenOf(population, n)}`);
  const text = await response.text();
  if (!response.ok || text === "{}") throw new Error("the server lacks the sessions filled in");
}
