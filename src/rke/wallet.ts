import { constants, type Dirent } from "node:fs";
import { lstat, open, opendir, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, sep } from "node:path";
import { ExchangeError, type ExchangeFailure } from "../domain/rke/key-exchange.js";
import { type CoinName, RAIDAS } from "./packet.js";

/** A coin: what proves a client to the RAIDA servers. */
export interface Coin extends CoinName {
  /** The authenticity numbers of the 25 RAIDA servers one after the other, 16 bytes each. */
  readonly ans: Buffer;
}

/** Bytes of an authenticity number. */
export const AN = 16;

const FILE_HEADER = 32;
const COIN_HEADER = 7;
const COIN = COIN_HEADER + RAIDAS * AN;
const FORMAT = 9;
const NOT_ENCRYPTED = 0;
/** Entries of a Bank folder that are looked at: a wallet with a coin shows it long before. */
const MAX_ENTRIES = 10_000;
/** Characters of the longest path that Linux takes. */
const MAX_PATH = 4_096;

/** The bytes of a coin file that are ever read: its header and its first coin. */
export const COIN_FILE_START = FILE_HEADER + COIN;

/** What became of one coin file. */
type Unfit = "refused" | "unreadable" | "gone";

/**
 * Hands a coin of the wallet to `use` and zeroes its authenticity numbers after that, whatever
 * `use` does. The wallet is a folder at `walletPath`, an absolute path that leads into `folder`
 * after links are resolved; its coin files (format 9) are `Bank/*.bin`. With no `folder`, every
 * path is refused. Throws `ExchangeError` with a reason `wallet_…`; nothing outside `folder`, and
 * nothing but plain files, is opened. Whoever can change `folder` while it is read is trusted.
 */
export async function withCoin<T>(
  folder: string | null,
  walletPath: string,
  use: (coin: Coin) => T | Promise<T>,
): Promise<T> {
  if (folder === null) {
    throw new ExchangeError(
      "wallet_refused",
      "no wallet can be read: LATCHKEY_RKE_WALLETS names no folder of wallets",
    );
  }
  const root = await realpath(folder).catch(() => failed("wallet_refused"));
  const wallet = await resolveInside(root, walletPath);
  const bank = await resolveInside(root, join(wallet, "Bank")).catch(bankFailure);
  const start = Buffer.alloc(COIN_FILE_START);
  try {
    return await use(await findCoin(root, bank, start));
  } finally {
    start.fill(0);
  }
}

/**
 * The first coin of a file of `size` bytes that begins with `start` (`COIN_FILE_START` bytes);
 * undefined if the file is not well formed. Its authenticity numbers lie in `start`.
 */
export function parseCoin(start: Buffer, size: number): Coin | undefined {
  if (start.length !== COIN_FILE_START) return;
  const count = start.readUInt16BE(6);
  const isWellFormed =
    start[0] === FORMAT &&
    start[5] === NOT_ENCRYPTED &&
    count > 0 &&
    size === FILE_HEADER + count * COIN;
  if (!isWellFormed) return;
  return {
    denomination: start.readInt8(FILE_HEADER + 2),
    serialNumber: start.readUInt32BE(FILE_HEADER + 3),
    ans: start.subarray(FILE_HEADER + COIN_HEADER),
  };
}

/** The first coin found in `bank`, read into `start`. */
async function findCoin(root: string, bank: string, start: Buffer): Promise<Coin> {
  const unfit = new Set<Unfit>();
  for await (const entry of entriesOf(bank)) {
    if (!entry.name.endsWith(".bin")) continue;
    const found = await readCoin(root, join(bank, entry.name), start);
    if (typeof found === "object") return found;
    unfit.add(found);
  }
  if (unfit.has("refused")) return failed("wallet_refused");
  return failed(unfit.has("unreadable") ? "wallet_unreadable" : "wallet_empty");
}

async function* entriesOf(bank: string): AsyncGenerator<Dirent> {
  const entries = await opendir(bank).catch(() => failed("wallet_unreadable"));
  let count = 0;
  for await (const entry of entries) {
    yield entry;
    count += 1;
    if (count === MAX_ENTRIES) return;
  }
}

async function readCoin(root: string, path: string, start: Buffer): Promise<Coin | Unfit> {
  const file = await realpath(path).catch(() => null);
  // A link that leads nowhere is refused as one that leads outside, so that nobody learns what is there.
  if (file === null) return (await isThere(path)) ? "refused" : "gone";
  if (!isInside(root, file)) return "refused";
  try {
    // Looked at before it is opened, because opening alone can act on a device.
    if (!(await lstat(file)).isFile()) return "refused";
    return await readPlainFile(file, start);
  } catch {
    return "unreadable";
  }
}

async function readPlainFile(file: string, start: Buffer): Promise<Coin | Unfit> {
  // Neither a link nor a pipe that took the file's place since can lead elsewhere or block.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(file, flags);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) return "refused";
    await handle.read(start, 0, start.length, 0);
    const coin = parseCoin(start, stats.size);
    if (!coin) start.fill(0);
    return coin ?? "unreadable";
  } finally {
    await handle.close();
  }
}

/**
 * The folder that `path` leads to. `wallet_refused` unless it is a folder inside `root`. Where
 * nothing is, `wallet_missing`, and where nothing may be looked at, `wallet_unreadable`, but only
 * if the last folder on the way is inside: what exists outside shows in no answer.
 */
async function resolveInside(root: string, path: string): Promise<string> {
  const isProper =
    isAbsolute(path) &&
    path.length < MAX_PATH &&
    !path.includes("\0") &&
    !path.split(sep).includes("..");
  if (!isProper) return failed("wallet_refused");

  let problem: "wallet_missing" | "wallet_unreadable" | undefined;
  for (let reached = path; ; reached = dirname(reached)) {
    const { real, code } = await resolveLinks(reached);
    if (real !== undefined) {
      if (!isInside(root, real) || !(await isFolder(real))) return failed("wallet_refused");
      return problem ? failed(problem) : real;
    }
    // Else a link that leads nowhere, or in a circle, or a file that is taken for a folder.
    if (code === "EACCES") problem = "wallet_unreadable";
    else if (code === "ENOENT" && !(await isThere(reached))) problem ??= "wallet_missing";
    else return failed("wallet_refused");
  }
}

async function resolveLinks(path: string): Promise<{ real?: string; code?: string | undefined }> {
  try {
    return { real: await realpath(path) };
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code };
  }
}

function isInside(root: string, real: string): boolean {
  return real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
}

async function isFolder(real: string): Promise<boolean> {
  return (await lstat(real).catch(() => null))?.isDirectory() ?? false;
}

/** Whether there is an entry of that name, wherever it leads. */
async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

const MESSAGES = {
  wallet_refused:
    "wallet_path must be the absolute path of a wallet inside the folder that LATCHKEY_RKE_WALLETS names",
  wallet_missing: "there is no wallet at wallet_path",
  wallet_empty: "the wallet holds no coin: its folder Bank has no coin file (*.bin)",
  wallet_unreadable:
    "no coin of the wallet can be read: Bank must hold a well-formed, unencrypted coin file of format 9",
} satisfies Partial<Record<ExchangeFailure, string>>;

function failed(reason: keyof typeof MESSAGES): never {
  throw new ExchangeError(reason, MESSAGES[reason]);
}

/** A wallet without its Bank is one without coins. */
function bankFailure(error: unknown): never {
  if (error instanceof ExchangeError && error.reason === "wallet_missing") failed("wallet_empty");
  throw error;
}
