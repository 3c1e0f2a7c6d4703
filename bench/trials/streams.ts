import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, Metadata } from "@grpc/grpc-js";
import { Cipher } from "../../gen/ts/latchkey/rke/v1/cipher_pb.js";
import {
  EncryptStreamRequestSchema,
  EncryptStreamResponseSchema,
  RkeService,
} from "../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { call, withClient } from "../load/grpc-client.js";
import { residentOf } from "../measure/memory.js";
import { median } from "../report/report.js";
import { SERVERS, type Site } from "../servers/servers.js";

export const STREAM_TRIAL = {
  name: "rke-stream",
  about:
    "RkeService.EncryptStream of --mebibytes in chunks of 64 KiB, with the server's memory; beside it openssl speed and a bare grpc-js stream",
};

const MIB = 1024 * 1024;
const CHUNK = 65_536;
/** Milliseconds that one stream may take. */
const MOST_TIME = 300_000;
const SAMPLE_INTERVAL = 20;
/** MiB by which the second half of a stream may exceed the first in memory. */
const GROWTH = 32;

/** What is streamed, and the name by which `openssl speed` knows its cipher. */
const KINDS = [
  { name: "AES-256-GCM", server: "latchkey-rke", cipher: Cipher.AES_256_GCM, evp: "aes-256-gcm" },
  { name: "AES-256-CTR", server: "latchkey-rke", cipher: Cipher.AES_256_CTR, evp: "aes-256-ctr" },
  { name: "no cipher: a bare grpc-js stream", server: "rke-echo", cipher: null, evp: null },
] as const;
type Kind = (typeof KINDS)[number];

interface Stream {
  /** 10^6 bytes of plaintext a second. */
  readonly rate: number;
  /** The server's resident memory in MiB: before, and the most in each half of the stream. */
  readonly memory: readonly [before: number, first: number, second: number];
  /** What `openssl speed` reaches in the same unit; absent for no cipher. */
  readonly openssl?: number;
}

export interface StreamsOptions {
  readonly root: string;
  readonly store: Site["store"];
  readonly mebibytes: number;
  readonly rounds: number;
  readonly signal: AbortSignal;
}

/** Runs all rounds of the trial; rejects if a stream fails or its memory grows. */
export async function runStreams(options: StreamsOptions) {
  const streams = new Map<Kind, Stream[]>(KINDS.map((kind) => [kind, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const [kind, measured] of streams) {
      const where = `${STREAM_TRIAL.name}, round ${round} of ${options.rounds}, ${kind.name}`;
      try {
        const stream = await runStream(kind, options);
        measured.push(stream);
        process.stderr.write(`${where}: ${Math.round(stream.rate)} MB/s\n`);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new Error(`${where}: ${reason}`, { cause: error });
      }
    }
  }
  return [...streams].map(([{ name }, measured]) => ({
    cipher: name,
    rate: median(measured.map(({ rate }) => rate)),
    openssl: median(measured.map(({ openssl = Number.NaN }) => openssl)),
    memory: [0, 1, 2].map((at) => Math.max(...measured.map(({ memory }) => memory[at] ?? 0))),
  }));
}

export function streamTable(rows: Awaited<ReturnType<typeof runStreams>>): string {
  const lines = rows.map(({ cipher, rate, openssl, memory }) => {
    const beside = Number.isNaN(openssl) ? "" : Math.round(openssl);
    const ratio = Number.isNaN(openssl) ? "" : (rate / openssl).toFixed(3);
    return `| ${[cipher, Math.round(rate), beside, ratio, ...memory.map(Math.round)].join(" | ")} |`;
  });
  return [
    "| stream | MB/s | openssl speed, MB/s | ratio | server's MiB before | most, first half | most, second half |",
    "|---|--:|--:|--:|--:|--:|--:|",
    ...lines,
  ].join("\n");
}

/** One stream to a server of its own, after a short one that warms it up. */
async function runStream(kind: Kind, options: StreamsOptions): Promise<Stream> {
  const { root, store, mebibytes, signal } = options;
  const dir = await mkdtemp(join(root, "dist", "bench-"));
  try {
    const openssl = kind.evp === null ? {} : { openssl: await runOpenssl(kind.evp, signal) };
    const server = await SERVERS[kind.server]({ root, dir, store, signal });
    const { grpc, rke, pid } = server;
    try {
      if (grpc === undefined || rke === undefined) throw new Error("the server has no RKE");
      return await withClient(grpc, async (client) => {
        const { session } = await call(client, RkeService.method.createSession, rke, {});
        const sessionId = session?.sessionId ?? "";
        await push(client, { kind, sessionId, bytes: Math.ceil(mebibytes / 16) * MIB, signal });

        const bytes = mebibytes * MIB;
        const before = residentOf(pid);
        const most: [number, number] = [0, 0];
        let received = 0;
        const sample = () => {
          const half = received < bytes / 2 ? 0 : 1;
          most[half] = Math.max(most[half], residentOf(pid));
        };
        const timer = setInterval(sample, SAMPLE_INTERVAL);
        const start = performance.now();
        try {
          await push(client, { kind, sessionId, bytes, signal }, (total) => {
            received = total;
          });
        } finally {
          clearInterval(timer);
        }
        const rate = bytes / 1e3 / (performance.now() - start);
        sample();
        const [first, second] = most;
        if (second > first + GROWTH) {
          throw new Error(`the server's memory grew from ${first} to ${second} MiB`);
        }
        return { rate, memory: [before, first, second], ...openssl };
      });
    } catch (error) {
      await server.checkRunning();
      throw error;
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Push {
  readonly kind: Kind;
  readonly sessionId: string;
  readonly bytes: number;
  readonly signal: AbortSignal;
}

const encode = (
  request: NonNullable<MessageInitShape<typeof EncryptStreamRequestSchema>["request"]>,
) =>
  Buffer.from(
    toBinary(EncryptStreamRequestSchema, create(EncryptStreamRequestSchema, { request })),
  );
const same = (bytes: Buffer) => bytes;

/** Streams so many bytes as fast as they are taken; rejects unless as many come back as must. */
function push(
  client: Client,
  { kind, sessionId, bytes, signal }: Push,
  onReceived: (total: number) => void = () => {},
): Promise<void> {
  const { typeName } = RkeService;
  const { name } = RkeService.method.encryptStream;
  const stream = client.makeBidiStreamRequest(`/${typeName}/${name}`, same, same, new Metadata(), {
    deadline: Date.now() + MOST_TIME,
  });
  const chunk = encode({ case: "plaintext", value: randomBytes(CHUNK) });
  let left = bytes / CHUNK;
  const write = () => {
    while (left > 0) {
      left--;
      if (!stream.write(chunk)) return;
    }
    stream.off("drain", write).end();
  };
  return new Promise((resolve, reject) => {
    const abort = () => stream.cancel();
    signal.addEventListener("abort", abort);
    let received = 0;
    stream.on("data", (message: Buffer) => {
      received += fromBinary(EncryptStreamResponseSchema, message).ciphertext.length;
      onReceived(received);
    });
    stream.on("error", reject);
    stream.on("end", () => {
      const expected = lengthOf(kind, bytes);
      if (received === expected) resolve();
      else reject(new Error(`${received} bytes came back, not ${expected}`));
    });
    stream.on("close", () => signal.removeEventListener("abort", abort));
    stream.on("drain", write);
    stream.write(
      encode({ case: "start", value: { sessionId, cipher: kind.cipher ?? Cipher.UNSPECIFIED } }),
    );
    write();
  });
}

/** Bytes of the ciphertext: docs/rke-streams.md has the formats. */
function lengthOf({ cipher }: Kind, bytes: number): number {
  if (cipher === null) return bytes;
  if (cipher === Cipher.AES_256_CTR) return bytes + 16;
  return bytes + 40 + 16 * (1 + Math.ceil((bytes - 65_480) / 65_520));
}

/** 10^6 bytes a second that OpenSSL's own program reaches with one core. */
async function runOpenssl(evp: string, signal: AbortSignal): Promise<number> {
  const args = ["speed", "-evp", evp, "-bytes", `${CHUNK}`, "-seconds", "1"];
  const { stdout } = await promisify(execFile)("openssl", args, { timeout: 20_000, signal });
  const thousands = /^AES-\S+\s+([\d.]+)k\s*$/im.exec(stdout)?.[1];
  if (thousands === undefined) throw new Error(`openssl speed said no number:\n${stdout}`);
  return Number(thousands) / 1e3;
}
