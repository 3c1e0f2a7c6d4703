import { Command, Option } from "commander";
import { invalid } from "../domain/error.js";
import { type Devnet, startDevnet } from "../rke/devnet/devnet.js";
import { FAULTS, type Fault, parseFaults } from "../rke/devnet/fault.js";

export interface RkeCommandOptions {
  readonly random: (size: number) => Buffer;
  readonly stdout: NodeJS.WritableStream;
  /** Settles when the process is asked to end. */
  readonly stopped: () => Promise<void>;
}

interface DevnetFlags {
  readonly domain: string;
  readonly fault: ReadonlyMap<number, Fault>;
  readonly folder?: string;
  readonly shortShares: boolean;
}

/** `latchkey rke …`, which tries key exchanges without a network. */
export function createRkeCommand({ random, stdout, stopped }: RkeCommandOptions): Command {
  const rke = new Command("rke").description("Key exchange with Content Servers.");
  rke
    .command("devnet")
    .description(
      "Run a Content Server, 25 RAIDA servers and a DNS server on 127.0.0.1, with a wallet, and print how to start Latchkey against them.",
    )
    .option("--domain <name>", "the Content Server's domain", parseDomain, "devnet.test")
    .addOption(
      new Option(
        "--fault <list>",
        "what is wrong with RAIDA servers 0 to 24, as 3=lose,7=delay:200",
      )
        .argParser(
          (list, faults: ReadonlyMap<number, Fault>) => new Map([...faults, ...parseFaults(list)]),
        )
        .default(new Map<number, Fault>(), "none"),
    )
    .option("--folder <dir>", "where the wallet is written, else a temporary folder")
    .option(
      "--short-shares",
      "shares of 1 byte, as older deployments have, which are refused",
      false,
    )
    .addHelpText("after", `\nFaults:\n${describeFaults()}`)
    .action(async ({ domain, fault, folder, shortShares }: DevnetFlags) => {
      // Heeded from here on, so that no signal leaves the wallet behind.
      const end = stopped();
      const devnet = await startDevnet({
        domain,
        folder: folder ?? null,
        random,
        faults: fault,
        shareBytes: shortShares ? 1 : 32,
      });
      try {
        stdout.write(describeDevnet(domain, devnet));
        await end;
      } finally {
        await devnet.close();
      }
    });
  return rke;
}

/** A name has 253 characters at most (RFC 1035, 3.1), of which `_rke._udp.` takes ten. */
const LONGEST_DOMAIN = 243;
const DOMAIN = /^(?!-)[a-z\d-]{1,63}(?<!-)(\.(?!-)[a-z\d-]{1,63}(?<!-))*$/;

function parseDomain(text: string): string {
  const domain = text.toLowerCase();
  if (domain.length <= LONGEST_DOMAIN && DOMAIN.test(domain)) return domain;
  throw invalid("domain", "format", "--domain must be a host name such as devnet.test");
}

function describeFaults(): string {
  return Object.entries(FAULTS)
    .map(([kind, { meaning, count }]) => {
      if (!count) return `  ${kind.padEnd(16)} ${meaning}\n`;
      const note = `N: ${count.of}, ${count.fallback} unless given`;
      return `  ${`${kind}[:N]`.padEnd(16)} ${meaning} (${note})\n`;
    })
    .join("");
}

/** Where Latchkey listens unless it is told otherwise. */
const LATCHKEY = "http://127.0.0.1:8080/api/rke";

function describeDevnet(domain: string, { env, wallet, content }: Devnet): string {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
  const walletPath = encodeURIComponent(wallet).replaceAll("%2F", "/");
  return `Devnet ${domain} runs until Ctrl-C. Start Latchkey against it in another terminal:

  ${settings.join(" ")} npm start

Create a session there:

  curl ${quote(`${LATCHKEY}/session?domain=${domain}&wallet_path=${walletPath}`)}

Encrypt in it, and let the Content Server, which derives the key on its own, decrypt that:

  curl -s '${LATCHKEY}/encrypt?session_id=SESSION_ID&plaintext=aGVsbG8=' | curl http://${content}/decrypt -d @-
`;
}

/** As one word for a shell. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
