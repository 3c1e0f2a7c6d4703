import { readFileSync } from "node:fs";

interface Vectors {
  readonly cs_id: string;
  readonly key_set: number;
  readonly client_serial: string;
  readonly time: number;
  readonly coin: {
    readonly denomination: number;
    readonly serial_number: number;
    readonly ans: readonly string[];
  };
  readonly coin_file: string;
  readonly request_plaintext: string;
  readonly raida_secrets: readonly string[];
  readonly shares: readonly string[];
  readonly keys: readonly {
    readonly raidas: readonly number[];
    readonly bitmap: number;
    readonly secret: string;
    readonly key: string;
  }[];
  readonly packets: readonly {
    readonly raida: number;
    readonly nonce: string;
    readonly request: string;
    readonly response_nonce: string;
    readonly response: string;
  }[];
}

/** Known answers of the exchange, computed from its description by other means. Bytes are hex. */
export const VECTORS = JSON.parse(
  readFileSync(new URL("./vectors.json", import.meta.url), "utf8"),
) as Vectors;

/** The bytes that a hexadecimal text stands for; an absent one is a fault of the test. */
export function hex(text: string | undefined): Buffer {
  if (text === undefined) throw new Error("no such vector");
  return Buffer.from(text, "hex");
}
