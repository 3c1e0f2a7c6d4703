import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { LatchkeyError } from "../../domain/error.js";
import type { Coin } from "../wallet.js";

export interface WalletFolder {
  /** What LATCHKEY_RKE_WALLETS is to name. */
  readonly wallets: string;
  /** The wallet in it, a `wallet_path`. */
  readonly path: string;
  /** Removes what was made, and nothing else. */
  remove(): void;
}

const FILE_HEADER_BYTES = 32;
const COIN_HEADER_BYTES = 7;
const FORMAT = 9;
/** Of the files that the format's users write; what reads them ignores it. */
const COIN_ID = 6;

/**
 * Writes a wallet with one coin into `folder`, or into a new temporary folder if that is null.
 * Folders that it makes have mode 700 and the file 600. Throws `exists` if there is a wallet.
 */
export function writeWallet(folder: string | null, coin: Coin): WalletFolder {
  const isTemporary = folder === null;
  const given = isTemporary ? mkdtempSync(join(tmpdir(), "latchkey-devnet-")) : resolve(folder);
  // The first of the folders on the way that did not exist.
  const made = isTemporary ? given : mkdirSync(given, { recursive: true, mode: 0o700 });
  const wallets = realpathSync(given);
  const path = join(wallets, "wallet");
  try {
    mkdirSync(path, { mode: 0o700 });
    mkdirSync(join(path, "Bank"), { mode: 0o700 });
    writeFileSync(join(path, "Bank", "coin.bin"), encodeCoinFile(coin), { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new LatchkeyError("exists", `${path} exists: remove it, or give another folder`);
  }
  return {
    wallets,
    path,
    remove: () => rmSync(made ?? path, { recursive: true, force: true }),
  };
}

/** A coin file of format 9 with this coin alone (reference: Wallet). */
export function encodeCoinFile({ denomination, serialNumber, ans }: Coin): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES + COIN_HEADER_BYTES);
  header.writeUInt8(FORMAT, 0);
  header.writeUInt8(1, 1);
  header.writeUInt16BE(COIN_ID, 2);
  header.writeUInt16BE(1, 6);
  header.writeInt8(denomination, FILE_HEADER_BYTES + 2);
  header.writeUInt32BE(serialNumber, FILE_HEADER_BYTES + 3);
  return Buffer.concat([header, ans]);
}
