import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { createInterface } from "node:readline";

/** What to look for in the memory of a process. */
export interface ScanRequest {
  readonly pid: number;
  /** Base64 of random bytes, as many as the longest secret has. */
  readonly mask: string;
  /** Base64 of secrets of 16 to 64 bytes, each XORed with the mask. */
  readonly masked: readonly string[];
}

/** How often each form of any of the secrets was found; or why the memory cannot be read. */
export type ScanAnswer =
  | { readonly hits: Readonly<Record<Form, number>> }
  | { readonly problem: string };

/** A secret as a whole, and its pieces of 16 bytes as they are and as texts of them. */
export type Form = "whole" | "piece" | "hex" | "base64";

interface Needle {
  readonly form: Form;
  readonly bytes: Buffer;
}

const PIECE = 16;
const WORD = 4;
const CHUNK = 4 * 1024 * 1024;
/** By so much chunks overlap: more than any needle has. */
const OVERLAP = 128;

/** A needle by one of its words, which begins at that byte of it. */
interface Place {
  readonly needle: Needle;
  readonly offset: number;
}

/**
 * Memory is looked through by aligned words. The first whole one in a needle begins at one of its
 * first four bytes, so each needle is found by four words, and once.
 */
interface Index {
  readonly places: ReadonlyMap<number, readonly Place[]>;
  /** Which low halves such words have: nearly all others are passed over by this alone. */
  readonly isHalf: Uint8Array;
}

// A program: a request a line in, an answer a line out.
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as ScanRequest))}\n`);
}

function answer({ pid, mask, masked }: ScanRequest): ScanAnswer {
  const secrets = masked.map((text) => unmask(Buffer.from(text, "base64"), mask));
  try {
    return scan(pid, indexOf(secrets.flatMap(needlesOf)));
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

function unmask(masked: Buffer, mask: string): Buffer {
  const bytes = Buffer.from(mask, "base64");
  return masked.map((byte, at) => byte ^ (bytes[at] ?? 0)) as Buffer;
}

function needlesOf(secret: Buffer): Needle[] {
  const needles: Needle[] = secret.length > PIECE ? [{ form: "whole", bytes: secret }] : [];
  for (let at = 0; at + PIECE <= secret.length; at += PIECE) {
    const piece = secret.subarray(at, at + PIECE);
    const hex = piece.toString("hex");
    needles.push({ form: "piece", bytes: piece });
    needles.push({ form: "hex", bytes: Buffer.from(hex) });
    needles.push({ form: "hex", bytes: Buffer.from(hex.toUpperCase()) });
    for (const text of base64Of(piece)) needles.push({ form: "base64", bytes: Buffer.from(text) });
  }
  return needles;
}

/** What a text in either Base64 alphabet has of these bytes, wherever they begin in its groups of three. */
function base64Of(piece: Buffer): Set<string> {
  const texts = [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), piece]);
    // Only characters that are of these bytes alone.
    const [first, end] = [Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6)];
    return [bytes.toString("base64"), bytes.toString("base64url")].map((text) =>
      text.slice(first, end),
    );
  });
  return new Set(texts);
}

function indexOf(needles: readonly Needle[]): Index {
  const places = new Map<number, Place[]>();
  const isHalf = new Uint8Array(65_536);
  for (const needle of needles) {
    for (let offset = 0; offset < WORD; offset++) {
      // In this machine's byte order, as the memory's words are.
      const word =
        new Uint32Array(Uint8Array.from(needle.bytes.subarray(offset, offset + WORD)).buffer)[0] ??
        0;
      places.set(word, [...(places.get(word) ?? []), { needle, offset }]);
      isHalf[word & 0xffff] = 1;
    }
  }
  return { places, isHalf };
}

function scan(pid: number, index: Index): ScanAnswer {
  const hits = { whole: 0, piece: 0, hex: 0, base64: 0 };
  const memory = openSync(`/proc/${pid}/mem`, "r");
  try {
    const chunk = Buffer.alloc(CHUNK);
    for (const [start, end] of regionsOf(pid)) {
      // Chunks overlap, so that no needle lies across their border; it counts where it begins.
      const step = CHUNK - OVERLAP;
      for (let at = start; at < end; at += step) {
        const wanted = Math.min(CHUNK, end - at);
        const length = read(memory, chunk, wanted, at);
        count(chunk.subarray(0, length), Math.min(step, length), index, hits);
        if (length < wanted) break;
      }
    }
  } finally {
    closeSync(memory);
  }
  return { hits };
}

/** Start and end of every region that can be read and that is not just a file's. */
function regionsOf(pid: number): [start: number, end: number][] {
  return readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, start = "", end = "", access = "", inode = "", name = ""] =
        /^(\w+)-(\w+) (\S{4}) \w+ \S+ (\d+) *(.*)$/.exec(line) ?? [];
      const isFile = inode !== "0" && !access.includes("w");
      const isKernel = name.startsWith("[v");
      if (!access.startsWith("r") || isFile || isKernel) return [];
      return [[Number.parseInt(start, 16), Number.parseInt(end, 16)]];
    });
}

/** How many bytes could be read: a region may have gone since it was listed. */
function read(memory: number, into: Buffer, wanted: number, position: number): number {
  let length = 0;
  try {
    while (length < wanted) {
      const more = readSync(memory, into, length, wanted - length, position + length);
      if (more === 0) break;
      length += more;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EIO") throw error;
  }
  return length;
}

/** Counts the needles in `bytes`, whole words, that begin before `end`. */
function count(bytes: Buffer, end: number, index: Index, hits: Record<Form, number>): void {
  const { places, isHalf } = index;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / WORD);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    if (isHalf[word & 0xffff] === 0) continue;
    for (const { needle, offset } of places.get(word) ?? []) {
      const at = i * WORD - offset;
      const isHere = at >= 0 && needle.bytes.equals(bytes.subarray(at, at + needle.bytes.length));
      if (isHere && at < end) hits[needle.form]++;
    }
  }
}
