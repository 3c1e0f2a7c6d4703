import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { type ErrorCode, LatchkeyError } from "../../../src/domain/error.js";
import {
  type ByteStream,
  createRkeStreams,
  type RkeStreamsOptions,
  type StreamStart,
} from "../../../src/services/rke/streams.js";
import { createRing, idOf, keyOf, openSession } from "../../support/rke/ring.js";

const SEGMENT = 65_536;
const HEADER = 40;
const TAG = 16;
/** Bytes of plaintext that fill the first segment, and each after it. */
const FIRST = SEGMENT - HEADER - TAG;
const NEXT = SEGMENT - TAG;
const SIZES = [
  0,
  1,
  15,
  16,
  17,
  FIRST - 1,
  FIRST,
  FIRST + 1,
  FIRST + NEXT - 1,
  FIRST + NEXT,
].concat([FIRST + NEXT + 1, FIRST + 3 * NEXT, 300_001]);
const CIPHERS = ["aes-256-gcm", "aes-256-ctr"] as const;
const NOTHING = new Uint8Array(0);

/** Streams over a real keyring with the sessions 1 and 2. */
function createTrial(options: Partial<RkeStreamsOptions> = {}) {
  const ring = createRing();
  let now = 0;
  const work: [operation: string, cipher: string, messages: number, bytes: number][] = [];
  const streams = createRkeStreams({
    keyring: ring.keyring,
    now: () => now,
    randomBytes,
    gcmMessages: 1_000_000,
    observer: { ciphered: (...done) => work.push(done) },
    ...options,
  });
  for (const number of [1, 2]) openSession(ring, number);
  return {
    ...ring,
    ...streams,
    work,
    advance(milliseconds: number) {
      now += milliseconds;
    },
  };
}

type Trial = ReturnType<typeof createTrial>;

const start = (part: Partial<StreamStart> = {}): StreamStart => ({
  sessionId: idOf(1),
  cipher: "aes-256-gcm",
  associatedData: NOTHING,
  ...part,
});

/** All that the stream answers to the bytes, in chunks of `size`. */
function run(stream: ByteStream, bytes: Buffer, size = 50_000): Buffer {
  const released: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    released.push(...stream.push(bytes.subarray(at, at + size)));
  }
  return Buffer.concat([...released, ...stream.end()]);
}

/** What was released before the stream refused the bytes, which it must. */
function releasedBeforeRefusal(stream: ByteStream, bytes: Buffer, size = 10_000): Buffer {
  const released: Buffer[] = [];
  const feed = () => {
    for (let at = 0; at < bytes.length; at += size) {
      released.push(...stream.push(bytes.subarray(at, at + size)));
    }
    released.push(...stream.end());
  };
  assert.throws(feed, isRefused("invalid", "ciphertext"));
  return Buffer.concat(released);
}

const isRefused =
  (code: ErrorCode, field?: string) =>
  (error: unknown): true => {
    assert.ok(error instanceof LatchkeyError, String(error));
    assert.deepEqual([error.code, error.violation?.field], [code, field]);
    return true;
  };

for (const cipher of CIPHERS) {
  test(`${cipher}: a stream of any size comes back as it went in`, () => {
    const trial = createTrial();
    for (const size of SIZES) {
      const plaintext = randomBytes(size);
      const sealed = run(trial.encryptStream(start({ cipher })), plaintext);
      assert.deepEqual(run(trial.decryptStream(start({ cipher })), sealed), plaintext);
    }
  });

  test(`${cipher}: chunks may be cut anywhere`, () => {
    const trial = createTrial();
    const lengths = fc.array(fc.nat({ max: 70_000 }), { maxLength: 8 });
    fc.assert(
      fc.property(lengths, lengths, (cuts, recuts) => {
        const feed = (stream: ByteStream, bytes: Buffer, sizes: readonly number[]) => {
          const released: Buffer[] = [];
          let at = 0;
          for (const size of sizes) {
            released.push(...stream.push(bytes.subarray(at, at + size)));
            at += size;
          }
          return Buffer.concat([...released, ...stream.push(bytes.subarray(at)), ...stream.end()]);
        };
        const plaintext = randomBytes(cuts.reduce((sum, cut) => sum + cut, 0));
        const sealed = feed(trial.encryptStream(start({ cipher })), plaintext, cuts);
        const opened = feed(trial.decryptStream(start({ cipher })), sealed, recuts);
        assert.ok(opened.equals(plaintext));
      }),
      { numRuns: 60 },
    );
  });

  test(`${cipher}: a stream ends with not_found once its session is deleted or expires`, () => {
    for (const [open, chunk] of [
      [(trial: Trial) => trial.encryptStream(start({ cipher })), Buffer.alloc(10)],
      [(trial: Trial) => trial.decryptStream(start({ cipher })), Buffer.alloc(10, 40)],
    ] as const) {
      for (const finish of [
        (trial: Trial) => trial.keyring.delete(idOf(1), 0),
        (trial: Trial) => trial.advance(1_000),
      ]) {
        for (const step of [(one: ByteStream) => one.push(chunk), (one: ByteStream) => one.end()]) {
          const trial = createTrial();
          const stream = open(trial);
          stream.push(chunk);
          finish(trial);
          assert.throws(() => step(stream), isRefused("not_found"));
        }
      }
    }
  });

  test(`${cipher}: messages and bytes of plaintext are counted`, () => {
    const trial = createTrial();
    const sealed = run(trial.encryptStream(start({ cipher })), Buffer.alloc(200_000));
    run(trial.decryptStream(start({ cipher })), sealed);
    for (const operation of ["encrypt", "decrypt"]) {
      const done = trial.work.filter(([name]) => name === operation);
      assert.deepEqual(
        [
          done.reduce((sum, [, , one]) => sum + one, 0),
          done.reduce((sum, [, , , one]) => sum + one, 0),
        ],
        [1, 200_000],
      );
    }
    assert.deepEqual(trial.keyring.get(idOf(1), 0)?.usage, { encrypts: 1, decrypts: 1 });
  });
}

test("a GCM stream is what Tink's AES256_GCM_HKDF streaming format says", () => {
  const drawn = Buffer.from(Array.from({ length: 39 }, (_, index) => index));
  const [salt, prefix] = [drawn.subarray(0, 32), drawn.subarray(32)];
  const associatedData = Buffer.from("associated");
  const plaintext = Buffer.alloc(FIRST + NEXT + 5, "latchkey");
  const streamKey = Buffer.from(hkdfSync("sha256", keyOf(1), salt, associatedData, 32));
  const seal = (segment: Buffer, end: readonly number[]) => {
    const nonce = Buffer.concat([prefix, Buffer.from(end)]);
    const sealer = createCipheriv("aes-256-gcm", streamKey, nonce);
    return Buffer.concat([sealer.update(segment), sealer.final(), sealer.getAuthTag()]);
  };
  const expected = Buffer.concat([
    Buffer.of(40),
    salt,
    prefix,
    seal(plaintext.subarray(0, FIRST), [0, 0, 0, 0, 0]),
    seal(plaintext.subarray(FIRST, FIRST + NEXT), [0, 0, 0, 1, 0]),
    seal(plaintext.subarray(FIRST + NEXT), [0, 0, 0, 2, 1]),
  ]);
  const trial = createTrial({ randomBytes: (size) => drawn.subarray(0, size) });
  const sealed = run(trial.encryptStream(start({ associatedData })), plaintext);
  assert.ok(sealed.equals(expected));
  assert.ok(run(trial.decryptStream(start({ associatedData })), expected).equals(plaintext));
});

test("a CTR stream is its nonce and one message by AES-256-CTR, over the counter's end", () => {
  const nonce = Buffer.alloc(16, 0xff);
  const trial = createTrial({ randomBytes: () => nonce });
  const plaintext = randomBytes(1_000);
  const sealed = run(trial.encryptStream(start({ cipher: "aes-256-ctr" })), plaintext, 7);
  assert.deepEqual(sealed.subarray(0, 16), nonce);
  const opener = createDecipheriv("aes-256-ctr", keyOf(1), nonce);
  assert.deepEqual(opener.update(sealed.subarray(16)), plaintext);
});

test("a GCM stream that was tampered with is refused, after authentic bytes at most", () => {
  const trial = createTrial();
  const plaintext = randomBytes(FIRST + 2 * NEXT + 100);
  const sealed = run(trial.encryptStream(start()), plaintext);
  const other = run(trial.encryptStream(start()), plaintext);
  /** Of 0 to 3, as they lie in a ciphertext; the first with its header. */
  const segment = (index: number, of = sealed) =>
    of.subarray(index * SEGMENT, (index + 1) * SEGMENT);
  const [a, b, c, d] = [0, 1, 2, 3].map((index) => segment(index)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const header = sealed.subarray(0, HEADER);
  const whole = { one: FIRST, two: FIRST + NEXT, three: FIRST + 2 * NEXT };
  for (const [what, parts, authentic] of [
    ["middle swapped", [a, c, b, d], whole.one],
    ["dropped", [a, c, d], whole.one],
    ["first dropped", [header, b, c, d], 0],
    ["duplicated", [a, b, b, c, d], whole.two],
    ["last duplicated", [a, b, c, d, d], whole.three],
    ["of another stream", [a, segment(1, other), c, d], whole.one],
    ["another's header", [other.subarray(0, HEADER), sealed.subarray(HEADER)], 0],
    ["last dropped", [a, b, c], whole.two],
    ["all but the first dropped", [a], 0],
    ["only the header", [header], 0],
    ["nothing", [], 0],
    ["part of the header", [header.subarray(0, 39)], 0],
    ["cut inside", [a, b.subarray(0, 1_000)], whole.one],
    ["cut inside a tag", [a, b, c, d.subarray(0, 8)], whole.three],
    ["a byte short", [sealed.subarray(0, -1)], whole.three],
    ["a byte more", [sealed, Buffer.of(0)], whole.three],
  ] as const) {
    const released = releasedBeforeRefusal(trial.decryptStream(start()), Buffer.concat(parts));
    assert.equal(released.length, authentic, what);
    assert.ok(released.equals(plaintext.subarray(0, released.length)), what);
  }
});

test("a GCM stream with any bit flipped is refused, after authentic bytes at most", () => {
  const trial = createTrial();
  const plaintext = randomBytes(FIRST + NEXT + 100);
  const sealed = run(trial.encryptStream(start()), plaintext);
  const check = (at: number, bit: number) => {
    const altered = Buffer.from(sealed);
    altered[at] = (altered[at] ?? 0) ^ (1 << bit);
    const released = releasedBeforeRefusal(trial.decryptStream(start()), altered);
    assert.ok(released.equals(plaintext.subarray(0, released.length)));
    assert.ok(released.length <= (at < SEGMENT ? 0 : at < 2 * SEGMENT ? FIRST : FIRST + NEXT));
  };
  for (let at = 0; at <= HEADER; at++) for (let bit = 0; bit < 8; bit++) check(at, bit);
  fc.assert(fc.property(fc.nat({ max: sealed.length - 1 }), fc.nat({ max: 7 }), check), {
    numRuns: 100,
  });
});

test("a GCM stream of another key or other associated data is refused and releases nothing", () => {
  const trial = createTrial();
  const associatedData = Buffer.from("mine");
  const sealed = run(trial.encryptStream(start({ associatedData })), randomBytes(200_000));
  for (const wrong of [
    { associatedData, sessionId: idOf(2) },
    { associatedData: Buffer.from("yours") },
    { associatedData: NOTHING },
  ]) {
    assert.equal(releasedBeforeRefusal(trial.decryptStream(start(wrong)), sealed).length, 0);
  }
});

test("a stream does not begin without a session, or with associated data that CTR ignores", () => {
  const trial = createTrial();
  const associatedData = Buffer.of(1);
  for (const open of [trial.encryptStream, trial.decryptStream]) {
    assert.throws(() => open(start({ sessionId: idOf(9) })), isRefused("not_found"));
    assert.throws(() => open(start({ sessionId: "9" })), isRefused("invalid", "session_id"));
    const ctr = start({ cipher: "aes-256-ctr", associatedData });
    assert.throws(() => open(ctr), isRefused("invalid", "associated_data"));
  }
});

test("a CTR stream shorter than its nonce is refused", () => {
  const stream = createTrial().decryptStream(start({ cipher: "aes-256-ctr" }));
  assert.deepEqual(stream.push(Buffer.alloc(15)), []);
  assert.throws(() => stream.end(), isRefused("invalid", "ciphertext"));
});

test("a GCM stream counts as one message of the key; CTR and decrypting count as none", () => {
  const trial = createTrial({ gcmMessages: 2 });
  const sealed = run(trial.encryptStream(start()), randomBytes(300_000));
  trial.decryptStream(start()).push(sealed);
  trial.encryptStream(start({ cipher: "aes-256-ctr" }));
  trial.encryptStream(start());
  assert.throws(() => trial.encryptStream(start()), isRefused("limit"));
});
