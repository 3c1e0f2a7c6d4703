import { Resolver } from "node:dns/promises";
import { type ContentServer, ExchangeError, type KeySet } from "../domain/rke/key-exchange.js";
import {
  addressKey,
  chooseSrv,
  parseRecords,
  type RaidaServer,
  type Records,
  type Srv,
} from "./records.js";

/** A RAIDA server with the number that it goes by. */
export interface NumberedServer extends RaidaServer {
  /** 0 to 24. */
  readonly raida: number;
}

export interface Discovered {
  readonly contentServer: ContentServer;
  /** The first key set that has the servers that are required. */
  readonly keySet: KeySet;
  /** The servers that take part in it, each number once. */
  readonly servers: readonly NumberedServer[];
}

export interface Discovery {
  /** Asks DNS for the domain's Content Server. Throws `ExchangeError`. */
  lookUp(domain: string): Promise<Discovered>;
}

export interface DiscoveryOptions {
  /** DNS servers `ip[:port]`; none stands for the system's. */
  readonly resolvers: readonly string[];
  /** Numbers of RAIDA servers by `addressKey`; null: the position of their lines. */
  readonly raidaNumbers: ReadonlyMap<string, number> | null;
  /** Milliseconds that all queries for one domain take at most. */
  readonly deadline: number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Takes a line of a domain's TXT records that is not used, cut to `MAX_SHOWN` characters. */
  readonly onSkipped: (domain: string, line: string) => void;
}

/** The least number of shares where no record says one: most of the 25. */
const DEFAULT_REQUIRED = 13;
const MAX_SHOWN = 100;

/** Letters, digits, hyphens and underscores; short enough to stand behind `_rke._udp.`. */
const DOMAIN = /^(?=.{1,240}$)[a-z\d_-]{1,63}(?:\.[a-z\d_-]{1,63})*$/i;

export function createDiscovery(options: DiscoveryOptions): Discovery {
  return {
    async lookUp(domain) {
      if (!DOMAIN.test(domain)) {
        throw failed("no_such_domain", "a domain is labels of letters, digits and hyphens");
      }
      const { srv, txt } = await query(domain, options);
      const records = parseRecords(txt, (line) => {
        options.onSkipped(domain, line.slice(0, MAX_SHOWN));
      });
      return select(domain, srv, records, options);
    },
  };
}

/** The SRV and TXT records at `_rke._udp.{domain}`, at least one usable SRV and one TXT. */
async function query(domain: string, { resolvers, deadline, random }: DiscoveryOptions) {
  // Its own resolver for each domain, so that cancelling ends no other's queries.
  const resolver = new Resolver({ timeout: Math.ceil(deadline / 4), tries: 3 });
  if (resolvers.length > 0) resolver.setServers(resolvers);
  const timer = setTimeout(() => resolver.cancel(), deadline);
  try {
    const name = `_rke._udp.${domain}`;
    const [srvs, txt] = await Promise.all([
      resolver.resolveSrv(name).catch(emptyIfNone),
      resolver.resolveTxt(name).catch(emptyIfNone),
    ]);
    // A target of "." says that there is no such service (RFC 2782).
    const srv = chooseSrv(
      srvs.filter((record) => !/^\.?$/.test(record.name)),
      random,
    );
    if (srv && txt.length > 0) return { srv, txt };
    if (srv) throw failed("no_txt", `${name} has no TXT record`);
    if (await exists(resolver, domain)) throw failed("no_srv", `${name} has no SRV record`);
    throw failed("no_such_domain", `there is no domain ${domain}`);
  } catch (error) {
    if (error instanceof ExchangeError) throw error;
    const code = codeOf(error);
    const why = code === "ECANCELLED" ? `within ${deadline} ms` : `(${code})`;
    throw failed("dns_failed", `no answer about ${domain} ${why}`, error);
  } finally {
    clearTimeout(timer);
    // What one answer has decided, nobody waits for the other about.
    resolver.cancel();
  }
}

/** Whether DNS knows the domain, whatever records it has. */
async function exists(resolver: Resolver, domain: string): Promise<boolean> {
  try {
    await resolver.resolveSoa(domain);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENODATA") return true;
    if (codeOf(error) === "ENOTFOUND") return false;
    throw error;
  }
}

function select(
  domain: string,
  srv: Srv,
  records: Records,
  { raidaNumbers, onSkipped }: DiscoveryOptions,
): Discovered {
  const numbered = records.servers.flatMap((server): NumberedServer[] => {
    const raida = raidaNumbers ? raidaNumbers.get(addressKey(server)) : server.position;
    if (raida === undefined) onSkipped(domain, `${addressKey(server)}: of no known number`);
    return raida === undefined ? [] : [{ ...server, raida }];
  });
  const serversOf = (keyId: number) => numbered.filter(({ keyIds }) => keyIds.includes(keyId));
  const keySets = [...records.keySets]
    .map(([keyId, csId]) => ({ keyId, csId, serverCount: serversOf(keyId).length }))
    .sort((a, b) => a.keyId - b.keyId);
  if (keySets.length === 0) {
    throw failed("no_usable_key_set", `the TXT records of _rke._udp.${domain} name no key set`);
  }
  const required = records.requiredRaidas ?? DEFAULT_REQUIRED;
  const keySet = keySets.find(({ serverCount }) => serverCount >= required);
  if (!keySet) {
    const counts = keySets.map(({ keyId, serverCount }) => `k${keyId} has ${serverCount}`);
    throw failed(
      "no_usable_key_set",
      `no key set of ${domain} has the ${required} RAIDA servers that are required: ${counts.join(", ")}`,
    );
  }
  const contentServer = {
    domain,
    targetHost: srv.name,
    targetPort: srv.port,
    minRaidasRequired: required,
    keySets,
  };
  return { contentServer, keySet, servers: serversOf(keySet.keyId) };
}

/** No records, where DNS says that there are none; any other error stands. */
function emptyIfNone(error: unknown): never[] {
  if (codeOf(error) === "ENODATA" || codeOf(error) === "ENOTFOUND") return [];
  throw error;
}

/** The resolver's code of an error, such as ETIMEOUT. */
function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "unknown";
}

function failed(reason: ExchangeError["reason"], problem: string, cause?: unknown): ExchangeError {
  return new ExchangeError(reason, `DNS discovery failed: ${problem}`, { cause });
}
