import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomFillSync,
  timingSafeEqual,
} from "node:crypto";
import { xor } from "./xor.js";

/** Which coin a client proves itself with. */
export interface CoinName {
  /** A signed byte. */
  readonly denomination: number;
  /** 32 bits, unsigned. */
  readonly serialNumber: number;
}

/** What the header of a share request says. */
export interface RequestHeader {
  /** Number of the RAIDA server that is asked, a byte; 0 to 24 in use. */
  readonly raida: number;
  readonly coin: CoinName;
  /** 24 random bytes: the first 16 are the counter block, the last two are echoed. */
  readonly nonce: Buffer;
}

/** Which share is asked for: the same at all RAIDA servers of one exchange. */
export interface ShareQuery {
  /** Id of the Content Server: 1 to 16 characters of visible ASCII. */
  readonly csId: string;
  /** Number of its key set, a byte. */
  readonly keyId: number;
  /** 5 random bytes. */
  readonly clientSerial: Buffer;
  /** Seconds since 1970, a whole number. */
  readonly time: number;
}

/** What the header of a share response says, as a server fills it. */
export interface ResponseHeader {
  readonly raida: number;
  /** 250 for a share; any other refuses. */
  readonly status: number;
  /** As the server measures it, 32 bits. */
  readonly executionTime: number;
  readonly coin: CoinName;
  /** 22 random bytes: the first 16 are the counter block. */
  readonly nonce: Buffer;
  /** The last two bytes of the request's nonce. */
  readonly echo: Buffer;
}

/** Why a datagram is no answer to a request. */
export type Rejection =
  /** Of no length that a response has, or without its end. */
  | "malformed"
  /** Of another server, command, encryption or coin, or with another echo. */
  | "mismatch"
  /** It says that the server gives no share; nothing proves who says so. */
  | "refused"
  /** Not made with the coin's key. */
  | "bad_mac";

export type ParsedResponse = { readonly share: Buffer } | { readonly rejection: Rejection };

/** How many RAIDA servers there are: their numbers are 0 to 24. */
export const RAIDAS = 25;
export const STATUS = { success: 250, badMac: 204 } as const;
export const REQUEST_NONCE = 24;
export const RESPONSE_NONCE = 22;
export const CLIENT_SERIAL = 5;
export const CS_ID = 16;

const HEADER = 48;
const MAC = 32;
const QUERY = 30;
const COUNTER_BLOCK = 16;
const END = Buffer.from([0x3e, 0x3e]);

const ROUTING_VERSION = 1;
const GROUP_DKE = 15;
const GET_KEY_SHARE = 2;
const COIN_ID = 6;
const ENCRYPTION_TYPE = 4;

/**
 * A share request as it goes over the wire, under `key` (32 bytes: SHA-256 of
 * the coin's authenticity number for this server). Layout: rke.md, as for all of this file.
 */
export function makeRequest(header: RequestHeader, query: ShareQuery, key: Buffer): Buffer {
  const datagram = Buffer.alloc(HEADER + QUERY + MAC + END.length);
  datagram[0] = ROUTING_VERSION;
  datagram[2] = header.raida;
  datagram[4] = GROUP_DKE;
  datagram[5] = GET_KEY_SHARE;
  datagram.writeUInt16BE(COIN_ID, 6);
  datagram[16] = ENCRYPTION_TYPE;
  datagram.writeUInt16BE(datagram.length - HEADER, 17);
  writeCoin(datagram, 19, header.coin);
  header.nonce.copy(datagram, 24);
  writeSealed(datagram, encodeQuery(query), header.nonce, key);
  return datagram;
}

/** The header of a share request; undefined if the datagram is none. The body is not opened. */
export function parseRequest(datagram: Buffer): RequestHeader | undefined {
  if (datagram.length !== HEADER + QUERY + MAC + END.length || !endsRight(datagram)) return;
  const isShareRequest =
    datagram[0] === ROUTING_VERSION &&
    datagram[1] === 0 &&
    datagram[3] === 0 &&
    datagram[4] === GROUP_DKE &&
    datagram[5] === GET_KEY_SHARE &&
    datagram.readUInt16BE(6) === COIN_ID &&
    datagram.readBigUInt64BE(8) === 0n &&
    datagram[16] === ENCRYPTION_TYPE &&
    datagram.readUInt16BE(17) === datagram.length - HEADER;
  if (!isShareRequest) return;
  return {
    raida: datagram.readUInt8(2),
    coin: readCoin(datagram, 19),
    nonce: datagram.subarray(24, HEADER),
  };
}

/**
 * What a request asks for, of a datagram that `parseRequest` took. Undefined if
 * it was not made with `key` (a server answers that with status 204) or asks for nothing that can be.
 */
export function openRequest(datagram: Buffer, key: Buffer): ShareQuery | undefined {
  if (!hasRightMac(datagram, key)) return;
  return decodeQuery(decrypt(datagram, key));
}

/**
 * A share response as it goes over the wire. Without a share (a refusal) the
 * body is its end alone.
 */
export function makeResponse(header: ResponseHeader, share: Buffer | null, key: Buffer): Buffer {
  const body = (share ? share.length + MAC : 0) + END.length;
  const datagram = Buffer.alloc(HEADER + body);
  datagram[0] = header.raida;
  datagram[2] = header.status;
  datagram[3] = GROUP_DKE;
  datagram.writeUInt32BE(header.executionTime, 4);
  datagram.writeUIntBE(body, 9, 3);
  datagram[16] = ENCRYPTION_TYPE;
  writeCoin(datagram, 17, header.coin);
  header.nonce.copy(datagram, 24);
  header.echo.copy(datagram, 46);
  if (share) writeSealed(datagram, share, header.nonce, key);
  else END.copy(datagram, HEADER);
  return datagram;
}

/**
 * The share in a response to the request with this header, at least one byte
 * long and to be zeroed by the caller; or why the datagram is no answer to it.
 */
export function parseResponse(
  datagram: Buffer,
  request: RequestHeader,
  key: Buffer,
): ParsedResponse {
  if (datagram.length < HEADER + END.length || !endsRight(datagram)) return reject("malformed");
  if (datagram.readUIntBE(9, 3) !== datagram.length - HEADER) return reject("malformed");
  const coin = readCoin(datagram, 17);
  const isExpected =
    datagram[0] === request.raida &&
    datagram[3] === GROUP_DKE &&
    datagram[16] === ENCRYPTION_TYPE &&
    coin.denomination === request.coin.denomination &&
    coin.serialNumber === request.coin.serialNumber &&
    datagram.subarray(46, HEADER).equals(request.nonce.subarray(REQUEST_NONCE - 2));
  if (!isExpected) return reject("mismatch");
  if (datagram[2] !== STATUS.success) return reject("refused");
  if (datagram.length <= HEADER + MAC + END.length) return reject("malformed");
  if (!hasRightMac(datagram, key)) return reject("bad_mac");
  return { share: decrypt(datagram, key) };
}

function reject(rejection: Rejection): ParsedResponse {
  return { rejection };
}

function encodeQuery({ csId, keyId, clientSerial, time }: ShareQuery): Buffer {
  const plaintext = Buffer.alloc(QUERY);
  plaintext.write(csId, "latin1");
  plaintext[CS_ID] = keyId;
  clientSerial.copy(plaintext, CS_ID + 1);
  plaintext.writeBigUInt64BE(BigInt(time), CS_ID + 1 + CLIENT_SERIAL);
  return plaintext;
}

function decodeQuery(plaintext: Buffer): ShareQuery | undefined {
  const csId = /^([!-~]+)\0*$/.exec(plaintext.toString("latin1", 0, CS_ID))?.[1];
  const time = Number(plaintext.readBigUInt64BE(CS_ID + 1 + CLIENT_SERIAL));
  if (csId === undefined || !Number.isSafeInteger(time)) return;
  return {
    csId,
    keyId: plaintext.readUInt8(CS_ID),
    clientSerial: plaintext.subarray(CS_ID + 1, CS_ID + 1 + CLIENT_SERIAL),
    time,
  };
}

function writeCoin(datagram: Buffer, offset: number, coin: CoinName): void {
  datagram.writeInt8(coin.denomination, offset);
  datagram.writeUInt32BE(coin.serialNumber, offset + 1);
}

function readCoin(datagram: Buffer, offset: number): CoinName {
  return {
    denomination: datagram.readInt8(offset),
    serialNumber: datagram.readUInt32BE(offset + 1),
  };
}

/** Writes the whole body: ciphertext, its MAC, the end. */
function writeSealed(datagram: Buffer, plaintext: Buffer, nonce: Buffer, key: Buffer): void {
  const cipher = createCipheriv("aes-256-ctr", key, nonce.subarray(0, COUNTER_BLOCK));
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  ciphertext.copy(datagram, HEADER);
  macOf(ciphertext, key).copy(datagram, HEADER + ciphertext.length);
  END.copy(datagram, HEADER + ciphertext.length + MAC);
}

/**
 * The plaintext of a body whose MAC is right. A decipher of Node frees a copy of what it gives and
 * does not zero it: it is handed the ciphertext masked, and so sees the plaintext masked.
 */
function decrypt(datagram: Buffer, key: Buffer): Buffer {
  // A request and a response have their counter block in the same place.
  const counterBlock = datagram.subarray(24, 24 + COUNTER_BLOCK);
  const decipher = createDecipheriv("aes-256-ctr", key, counterBlock);
  const ciphertext = ciphertextOf(datagram);
  const mask = randomFillSync(Buffer.from(new ArrayBuffer(ciphertext.length)));
  const masked = decipher.update(xor([ciphertext, mask]));
  decipher.final();
  const plaintext = xor([masked, mask]);
  mask.fill(0);
  return plaintext;
}

function hasRightMac(datagram: Buffer, key: Buffer): boolean {
  const mac = datagram.subarray(datagram.length - END.length - MAC, datagram.length - END.length);
  return timingSafeEqual(mac, macOf(ciphertextOf(datagram), key));
}

function ciphertextOf(datagram: Buffer): Buffer {
  return datagram.subarray(HEADER, datagram.length - END.length - MAC);
}

function macOf(ciphertext: Buffer, key: Buffer): Buffer {
  return createHmac("sha256", key).update(ciphertext).digest();
}

function endsRight(datagram: Buffer): boolean {
  return datagram.subarray(datagram.length - END.length).equals(END);
}
