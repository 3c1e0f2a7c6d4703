import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { LatchkeyError } from "../../domain/error.js";
import { RAIDAS } from "../packet.js";
import {
  type ContentServer,
  type DevnetCipher,
  NONCE_BYTES,
  type Opened,
  type Sealed,
  TAG_BYTES,
  toBitmap,
} from "./content-server.js";

export interface ContentListener {
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** The longest request that is read: 1 MiB of ciphertext in Base64, and the rest. */
const LIMIT = 2 * 1024 * 1024;

/**
 * Offers a Content Server's decryption over HTTP: `POST /decrypt`. Rejects if it cannot listen.
 * docs/rke-devnet.md describes request and answer.
 */
export async function listenForContent(
  host: string,
  contentServer: ContentServer,
): Promise<ContentListener> {
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: object) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(`${JSON.stringify(body)}\n`);
    };
    try {
      if (request.method !== "POST" || request.url !== "/decrypt") {
        throw new LatchkeyError("not_found", "there is only POST /decrypt");
      }
      answer(200, describe(contentServer.decrypt(parseSealed(await read(request)))));
    } catch (error) {
      if (!(error instanceof LatchkeyError)) return answer(500, { error: "internal error" });
      answer(error.code === "not_found" ? 404 : 400, { error: error.message });
    }
  });
  server.listen({ host, port: 0 });
  await once(server, "listening");
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function read(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    // Read to the end all the same: who still writes does not hear an answer.
    if (length <= LIMIT) chunks.push(chunk);
  }
  if (length > LIMIT) throw wrong(`the request must have at most ${LIMIT} bytes`);
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw wrong("the request must be JSON");
  }
}

function parseSealed(request: unknown): Sealed {
  const isObject = typeof request === "object" && request !== null;
  if (!isObject) throw wrong("the request must be a JSON object");
  const fields = request as Readonly<Record<string, unknown>>;
  const nonce = parseNonce(fields["nonce"]);
  const fitting = nonce.length === NONCE_BYTES.AES_256_GCM ? "AES_256_GCM" : "AES_256_CTR";
  const cipher = fields["cipher"] ?? fitting;
  if (!isCipher(cipher)) throw wrong("cipher must be AES_256_GCM or AES_256_CTR");
  if (nonce.length !== NONCE_BYTES[cipher]) {
    throw wrong(`nonce must have ${NONCE_BYTES[cipher]} bytes for ${cipher}`);
  }
  const ciphertext = parseBase64("ciphertext", fields["ciphertext"]);
  if (cipher === "AES_256_GCM" && ciphertext.length < TAG_BYTES) {
    throw wrong(`ciphertext must have its tag of ${TAG_BYTES} bytes at the end`);
  }
  return {
    cipher,
    ciphertext,
    nonce,
    associatedData: parseBase64("associated_data", fields["associated_data"] ?? ""),
    clientSerial: parseSerial(fields["client_serial"] ?? null),
    raidas: parseRaidas(fields["raidas"] ?? null),
  };
}

function isCipher(value: unknown): value is DevnetCipher {
  return typeof value === "string" && Object.hasOwn(NONCE_BYTES, value);
}

/** Hexadecimal, as the JSON endpoints answer it, or Base64, as the typed API does. */
function parseNonce(value: unknown): Buffer {
  const isHex = typeof value === "string" && /^([\da-f]{24}|[\da-f]{32})$/i.test(value);
  const nonce = isHex ? Buffer.from(value, "hex") : parseBase64("nonce", value);
  if (Object.values<number>(NONCE_BYTES).includes(nonce.length)) return nonce;
  throw wrong("nonce must be 12 or 16 bytes in hexadecimal or Base64");
}

function parseBase64(name: string, value: unknown): Buffer {
  if (typeof value === "string" && /^[A-Za-z\d+/]*={0,2}$/.test(value)) {
    return Buffer.from(value, "base64");
  }
  throw wrong(`${name} must be Base64`);
}

function parseSerial(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === "string" && /^[\da-f]{10}$/i.test(value)) return value.toLowerCase();
  throw wrong("client_serial must be 10 hexadecimal characters");
}

function parseRaidas(value: unknown): number | null {
  if (value === null) return null;
  const isList =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((one) => Number.isInteger(one) && one >= 0 && one < RAIDAS);
  if (isList) return toBitmap(value);
  throw wrong("raidas must be a list of numbers 0 to 24");
}

function describe({ plaintext, key }: Opened): object {
  return {
    plaintext: plaintext.toString("base64"),
    cs_id: key.csId,
    key_id: key.keyId,
    client_serial: key.clientSerial,
    time: key.time,
    raidas: Array.from({ length: RAIDAS }, (_, at) => at).filter((at) => key.raidas & (1 << at)),
  };
}

const wrong = (message: string) => new LatchkeyError("invalid", message);
