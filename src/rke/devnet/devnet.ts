import { RAIDAS } from "../packet.js";
import { AN, type Coin } from "../wallet.js";
import { type ContentListener, listenForContent } from "./content-listener.js";
import { type ContentServer, createContentServer, type UploadedKeySet } from "./content-server.js";
import { type DnsRecords, startDnsServer } from "./dns-server.js";
import { createExchangeLog, type Exchange } from "./exchanges.js";
import type { Fault } from "./fault.js";
import { startRaidaServer } from "./raida-server.js";
import { writeWallet } from "./wallet-folder.js";

export interface DevnetOptions {
  /** The Content Server's domain, in small letters. */
  readonly domain: string;
  /** Where the wallet is written; null: a new temporary folder. */
  readonly folder: string | null;
  readonly random: (size: number) => Buffer;
  /** By RAIDA number; they can be changed by `setFault`. */
  readonly faults?: ReadonlyMap<number, Fault>;
  /** Bytes of a share, 1 to 32; 32 unless given. Older deployments have 1. */
  readonly shareBytes?: number;
  /** The least number of shares that the domain asks for; 13 unless given. */
  readonly minRaidas?: number;
  /** One key set, of the Content Server DEVNET, with random secrets unless given. */
  readonly keySets?: readonly UploadedKeySet[];
  /** A random one unless given. */
  readonly coin?: Coin;
}

export interface Devnet {
  /** `host:port` of the DNS server, the same over UDP and TCP. */
  readonly dns: string;
  /** `host:port` of the RAIDA servers by number. */
  readonly raidas: readonly string[];
  /** `host:port` of the Content Server, which its SRV record leads to. It speaks HTTP. */
  readonly content: string;
  /** The wallet, a `wallet_path`. */
  readonly wallet: string;
  /** The settings with which Latchkey finds all of it. */
  readonly env: Readonly<Record<"LATCHKEY_RKE_WALLETS" | "LATCHKEY_RKE_RESOLVERS", string>>;
  /** What DNS answers, by name; changes are heeded at the next query. */
  readonly zone: Map<string, DnsRecords>;
  readonly contentServer: ContentServer;
  /** The last exchanges, the newest first. */
  exchanges(): readonly Exchange[];
  /** What is wrong with a RAIDA server from its next request on; null: nothing. */
  setFault(raida: number, fault: Fault | null): void;
  /** Ends all servers and removes the wallet. */
  close(): Promise<void>;
}

const HOST = "127.0.0.1";
const MIN_RAIDAS = 13;
const REMEMBERED_EXCHANGES = 100;

/**
 * Starts what a key exchange needs, on ports of 127.0.0.1 that the system picks: a Content Server,
 * 25 RAIDA servers, a DNS server for its domain, and a wallet with a coin that the RAIDA servers
 * know. Rejects, with nothing left behind, if the wallet cannot be written or a port not be bound.
 * Secrets, shares and keys here are worth nothing and are not zeroed: whoever scans a process for
 * keys runs the devnet in another one.
 */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const { domain, random, shareBytes = 32, minRaidas = MIN_RAIDAS } = options;
  const { coin = makeCoin(random), keySets = [makeKeySet(random)] } = options;
  const faults = new Map(options.faults);
  const exchanges = createExchangeLog(REMEMBERED_EXCHANGES);
  const contentServer = createContentServer({ keySets, shareBytes, exchanges: exchanges.recent });

  const started: { close(): Promise<void> | void }[] = [];
  const close = async () => {
    // Each once, the last first.
    for (const one of started.splice(0).reverse()) await one.close();
  };
  try {
    const wallet = writeWallet(options.folder, coin);
    started.push({ close: wallet.remove });
    const raidas: string[] = [];
    for (let raida = 0; raida < RAIDAS; raida++) {
      const server = await startRaidaServer({
        host: HOST,
        raida,
        coin,
        shareBytes,
        random,
        secretFor: ({ csId, keyId }) =>
          keySets.find((one) => one.csId === csId && one.keyId === keyId)?.secrets[raida],
        fault: () => faults.get(raida),
        onShare: (query) => exchanges.add(query, raida),
      });
      started.push(server);
      raidas.push(server.address);
    }
    const content = await listenForContent(HOST, contentServer);
    started.push(content);
    const zone = makeZone(domain, content, describeKeySets(keySets, raidas, minRaidas));
    const dns = await startDnsServer({ host: HOST, zone });
    started.push(dns);
    return {
      dns: dns.address,
      raidas,
      content: content.address,
      wallet: wallet.path,
      env: { LATCHKEY_RKE_WALLETS: wallet.wallets, LATCHKEY_RKE_RESOLVERS: dns.address },
      zone,
      contentServer,
      exchanges: exchanges.recent,
      setFault(raida, fault) {
        if (fault) faults.set(raida, fault);
        else faults.delete(raida);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function makeCoin(random: DevnetOptions["random"]): Coin {
  return {
    denomination: 0,
    serialNumber: random(4).readUInt32BE(),
    ans: random(RAIDAS * AN),
  };
}

function makeKeySet(random: DevnetOptions["random"]): UploadedKeySet {
  const secrets = Array.from({ length: RAIDAS }, () => random(32));
  return { keyId: 1, csId: "DEVNET", secrets };
}

/** The text of the domain's TXT record. */
function describeKeySets(
  keySets: readonly UploadedKeySet[],
  raidas: readonly string[],
  minRaidas: number,
): string {
  const names = keySets.map(({ keyId }) => `k${keyId}`);
  return [
    ...keySets.map(({ csId }, at) => `${names[at]} = ${csId}`),
    ...raidas.map((address) => `${address} ${names.join(" ")}`),
    `required raidas>=${minRaidas}`,
  ].join("\n");
}

function makeZone(domain: string, content: ContentListener, text: string): Map<string, DnsRecords> {
  const target = `cs.${domain}`;
  const port = Number(content.address.slice(content.address.lastIndexOf(":") + 1));
  const srv = [{ target, port, priority: 0, weight: 0 }];
  return new Map<string, DnsRecords>([
    [`_rke._udp.${domain}`, { srv, txt: [text] }],
    [target, { a: [HOST] }],
  ]);
}
