import { invalid, LatchkeyError } from "../../domain/error.js";
import { type CipherName, NONCE_BYTES, TAG_BYTES } from "../../domain/rke/cipher.js";
import { applyCtr } from "../../domain/rke/ctr-stream.js";
import {
  type GcmStream,
  HEADER_BYTES,
  isHeader,
  MAX_SEGMENTS,
  newHeader,
  openSegment,
  SEGMENT_BYTES,
  sealSegment,
  segmentBytes,
} from "../../domain/rke/gcm-stream.js";
import type { KeyOrigin, Keyring } from "../../domain/rke/keyring.js";
import { checkRkeSessionId } from "../../domain/rke/limits.js";
import type { RandomBytes } from "../../lib/random.js";
import { absent, checkAssociatedData, usedUp } from "./cipher-checks.js";
import type { CipherOperation, RkeObserver } from "./observer.js";
import { createSegmenter } from "./segmenter.js";

/** What a stream begins with, beside its bytes. */
export interface StreamStart {
  readonly sessionId: string;
  readonly cipher: CipherName;
  /** Authenticated with every segment; AES-256-GCM only. */
  readonly associatedData: Uint8Array;
}

/**
 * A stream of bytes under encryption or decryption: `push` each chunk, then `end` once; each
 * answers what can be released, in order. Both throw `not_found` once the session has ended,
 * and `invalid` if what is decrypted was altered; nothing may follow an error.
 */
export interface ByteStream {
  push(chunk: Uint8Array): Buffer[];
  end(): Buffer[];
}

export interface RkeStreamsOptions {
  readonly keyring: Keyring;
  readonly now: () => number;
  readonly randomBytes: RandomBytes;
  readonly gcmMessages: number;
  readonly observer: Pick<RkeObserver, "ciphered">;
}

/** How a cipher turns chunks into what can be released. The key is to be used at once. */
interface Transform {
  push(key: Buffer, chunk: Uint8Array): Iterable<Buffer>;
  end(key: Buffer): Iterable<Buffer>;
}

/**
 * Streams of any length under a session's key, in constant memory. The key is looked up for each
 * chunk, so that it is used neither after its session's end nor held between chunks.
 */
export function createRkeStreams(options: RkeStreamsOptions) {
  const { keyring, now, randomBytes, gcmMessages, observer } = options;

  const open = (
    operation: CipherOperation,
    { sessionId, cipher, associatedData }: StreamStart,
    create: (origin: KeyOrigin) => Transform,
  ): ByteStream => {
    checkRkeSessionId(sessionId);
    checkAssociatedData(cipher, associatedData);
    const transform = keyring.use(sessionId, now(), (_key, origin) => create(origin)) ?? absent();
    const run = (work: (key: Buffer) => Iterable<Buffer>, messages: number, bytes: number) => {
      const released = keyring.use(sessionId, now(), (key, _origin, usage) => {
        const all = [...work(key)];
        usage[`${operation}s`] += messages;
        return all;
      });
      if (!released) return absent();
      const plain = operation === "encrypt" ? bytes : total(released);
      observer.ciphered(operation, cipher, messages, plain);
      return released;
    };
    return {
      push: (chunk) => run((key) => transform.push(key, chunk), 0, chunk.length),
      end: () => run((key) => transform.end(key), 1, 0),
    };
  };

  return {
    /** Throws `limit` if the key may encrypt no more, of which a stream counts as one message. */
    encryptStream(start: StreamStart): ByteStream {
      return open("encrypt", start, ({ usage }) => {
        if (start.cipher === "aes-256-ctr") {
          return encryptCtr(randomBytes(NONCE_BYTES["aes-256-ctr"]));
        }
        if (usage.gcmMessages >= gcmMessages) throw usedUp(gcmMessages);
        usage.gcmMessages++;
        return encryptGcm({
          header: newHeader(randomBytes),
          associatedData: Uint8Array.from(start.associatedData),
        });
      });
    },

    /** The reverse of `encryptStream`; with AES-256-GCM it releases authenticated bytes only. */
    decryptStream(start: StreamStart): ByteStream {
      return open("decrypt", start, () =>
        start.cipher === "aes-256-ctr"
          ? decryptCtr()
          : decryptGcm(Uint8Array.from(start.associatedData)),
      );
    },
  };
}

function encryptGcm(stream: GcmStream): Transform {
  const segments = createSegmenter(SEGMENT_BYTES, (index) => segmentBytes(index) - TAG_BYTES);
  let index = 0;
  /** The header goes with the first segment. */
  const seal = (key: Buffer, isLast: boolean, plaintext: Buffer): Buffer => {
    const sealed = sealSegment(key, stream, { index: checkIndex(index), isLast }, plaintext);
    return index++ === 0 ? Buffer.concat([stream.header, sealed]) : sealed;
  };
  return {
    *push(key, chunk) {
      for (const plaintext of segments.cut(chunk)) yield seal(key, false, plaintext);
    },
    end: (key) => [seal(key, true, segments.last())],
  };
}

function decryptGcm(associatedData: Uint8Array): Transform {
  // The header is cut as if it were a segment before the others.
  const segments = createSegmenter(SEGMENT_BYTES, (index) =>
    index === 0 ? HEADER_BYTES : segmentBytes(index - 1),
  );
  let stream: GcmStream | undefined;
  let index = 0;
  const unseal = (key: Buffer, isLast: boolean, ciphertext: Buffer): Buffer => {
    if (!stream) throw altered();
    const plaintext = openSegment(key, stream, { index: checkIndex(index), isLast }, ciphertext);
    if (!plaintext) throw altered();
    index++;
    return plaintext;
  };
  return {
    *push(key, chunk) {
      for (const piece of segments.cut(chunk)) {
        if (stream) {
          yield unseal(key, false, piece);
        } else {
          if (!isHeader(piece)) throw altered();
          stream = { header: Uint8Array.from(piece), associatedData };
        }
      }
    },
    end: (key) => [unseal(key, true, segments.last())],
  };
}

function encryptCtr(nonce: Uint8Array): Transform {
  const apply = ctrFrom(nonce);
  let head = [Buffer.from(nonce)];
  const takeHead = () => {
    const taken = head;
    head = [];
    return taken;
  };
  return {
    push: (key, chunk) => [...takeHead(), apply(key, chunk)],
    end: takeHead,
  };
}

function decryptCtr(): Transform {
  const nonce = Buffer.alloc(NONCE_BYTES["aes-256-ctr"]);
  const apply = ctrFrom(nonce);
  let filled = 0;
  return {
    push(key, chunk) {
      const head = chunk.subarray(0, nonce.length - filled);
      nonce.set(head, filled);
      filled += head.length;
      const body = chunk.subarray(head.length);
      return body.length > 0 ? [apply(key, body)] : [];
    },
    end() {
      if (filled === nonce.length) return [];
      throw invalid("ciphertext", "format", "ciphertext must begin with its nonce of 16 bytes");
    },
  };
}

/** What goes on, from chunk to chunk, where the one before ended. */
function ctrFrom(nonce: Uint8Array) {
  let offset = 0n;
  return (key: Buffer, chunk: Uint8Array): Buffer => {
    const output = applyCtr(key, nonce, offset, chunk);
    offset += BigInt(chunk.length);
    return output;
  };
}

function checkIndex(index: number): number {
  if (index < MAX_SEGMENTS) return index;
  throw new LatchkeyError("limit", `a stream has at most ${MAX_SEGMENTS} segments: begin another`);
}

function altered(): LatchkeyError {
  return invalid(
    "ciphertext",
    "value",
    "ciphertext or associated_data was altered, the stream is not whole, or the session has another key",
  );
}

function total(buffers: readonly Buffer[]): number {
  return buffers.reduce((sum, { length }) => sum + length, 0);
}
