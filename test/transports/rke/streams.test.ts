import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { create as createMessage, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { type Client, Code } from "@connectrpc/connect";
import {
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { Cipher } from "../../../gen/ts/latchkey/rke/v1/cipher_pb.js";
import { RkeService } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { eventually } from "../../support/eventually.js";
import { WALLET } from "../../support/rke/fake-exchange.js";
import { assertRefused, invalid, NOT_FOUND } from "../../support/transports/case.js";
import { openRest, type Rest } from "../../support/transports/rest.js";
import { startServer, type TestServer } from "../../support/transports/server.js";
import { openWire, WIRES, type Wire } from "../../support/transports/wires.js";

const ENCRYPT = "latchkey.rke.v1.RkeService/EncryptStream";
const DECRYPT = "latchkey.rke.v1.RkeService/DecryptStream";
const MIB = 1024 * 1024;
/** The largest chunk of which a whole request is at most 1 MiB. */
const CHUNK = MIB - 4;

let server: TestServer;
let wire: Wire;
let rest: Rest;
let client: Client<typeof RkeService>;
before(async () => {
  server = await startServer();
  wire = openWire("gRPC", server);
  rest = openRest(server.http);
  client = wire.client(RkeService);
});
after(async () => {
  wire.close();
  rest.close();
  await server.close();
});

const create = async (): Promise<string> => {
  const { session } = await client.createSession({ domain: "cs.example", walletPath: WALLET });
  return session?.sessionId ?? assert.fail();
};

const startOf = (
  sessionId: string,
  cipher: Cipher = Cipher.AES_256_GCM,
  associatedData = NOTHING,
) => ({ request: { case: "start", value: { sessionId, cipher, associatedData } } }) as const;
const NOTHING = new Uint8Array(0);
const plain = (value: Uint8Array) => ({ request: { case: "plaintext", value } }) as const;
const sealed = (value: Uint8Array) => ({ request: { case: "ciphertext", value } }) as const;

const toBytes = (schema: DescMessage, message: Record<string, unknown>): Buffer =>
  Buffer.from(toBinary(schema, createMessage(schema, message)));

async function* each<T extends object>(...items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Requests that come one by one, as the test says. */
function createRequests<T>() {
  const waiting: T[] = [];
  let isOver = false;
  let wake = () => {};
  return {
    send(...items: T[]) {
      waiting.push(...items);
      wake();
    },
    end() {
      isOver = true;
      wake();
    },
    async *[Symbol.asyncIterator](): AsyncGenerator<T> {
      for (;;) {
        yield* waiting.splice(0);
        if (isOver && waiting.length === 0) return;
        if (waiting.length > 0) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

async function drain(responses: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of responses);
}

/** The metric of this name and labels, 0 if there is none yet. */
async function metric(name: string): Promise<number> {
  const { text } = await rest.call("GET", "/metrics");
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1) ?? 0);
}

const callsOf = (method: string, code: string) =>
  metric(`latchkey_calls_total{transport="grpc",method="${method}",code="${code}"}`);
const encryptedBytes = (cipher: string) =>
  metric(`latchkey_rke_bytes_total{operation="encrypt",cipher="${cipher}"}`);

/** The bytes that GCM encrypted, once they have stayed the same over many turns: the server waits. */
async function bytesAtRest(): Promise<number> {
  let taken = 0;
  let same = 0;
  await eventually("the server's rest", async () => {
    const now = await encryptedBytes("aes-256-gcm");
    same = now === taken ? same + 1 : 0;
    taken = now;
    return same === 50;
  });
  return taken;
}

for (const cipher of [Cipher.AES_256_GCM, Cipher.AES_256_CTR]) {
  test(`${Cipher[cipher]}: 64 MiB are encrypted and decrypted as they come`, async () => {
    const sessionId = await create();
    const chunk = randomBytes(CHUNK);
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    async function* plaintext() {
      yield startOf(sessionId, cipher);
      for (let count = 0; count < 64; count++) {
        sent.update(chunk);
        yield plain(chunk);
      }
    }
    async function* ciphertext() {
      yield startOf(sessionId, cipher);
      for await (const response of client.encryptStream(plaintext())) {
        yield sealed(response.ciphertext);
      }
    }
    for await (const response of client.decryptStream(ciphertext())) {
      received.update(response.plaintext);
    }
    assert.equal(received.digest("hex"), sent.digest("hex"));
  });
}

test("a caller who does not read is not read from", async () => {
  const sessionId = await create();
  const chunk = Buffer.alloc(CHUNK);
  const [total, before] = [64 * CHUNK, await encryptedBytes("aes-256-gcm")];
  async function* plaintext() {
    yield startOf(sessionId);
    for (let count = 0; count < 64; count++) yield plain(chunk);
  }
  const responses = client.encryptStream(plaintext())[Symbol.asyncIterator]();
  let read = (await responses.next()).value?.ciphertext.length ?? 0;
  const taken = (await bytesAtRest()) - before;
  assert.ok(taken > 0 && taken - read < 8 * MIB, `${taken} bytes taken in, ${read} read`);
  for (let next = await responses.next(); !next.done; next = await responses.next()) {
    read += next.value.ciphertext.length;
  }
  assert.ok(read > total);
  assert.equal((await encryptedBytes("aes-256-gcm")) - before, total);
});

test("a stream whose caller leaves without having read is over at the server", async () => {
  const sessionId = await create();
  const before = await callsOf(ENCRYPT, "CANCELLED");
  async function* plaintext() {
    yield startOf(sessionId);
    for (;;) yield plain(Buffer.alloc(CHUNK));
  }
  const abort = new AbortController();
  const responses = client.encryptStream(plaintext(), { signal: abort.signal });
  const iterator = responses[Symbol.asyncIterator]();
  await iterator.next();
  await bytesAtRest();
  abort.abort();
  await eventually("its end", async () => {
    return (await callsOf(ENCRYPT, "CANCELLED")) === before + 1;
  });
});

test("a stream ends with NOT_FOUND at the next chunk once its session is deleted", async () => {
  for (const [open, chunk, first] of [
    [client.encryptStream, plain(Buffer.alloc(100_000)), plain(Buffer.alloc(100_000))],
    [client.decryptStream, sealed(Buffer.alloc(1)), null],
  ] as const) {
    const sessionId = await create();
    const requests = createRequests<object>();
    requests.send(startOf(sessionId));
    if (first) requests.send(first);
    const responses = open(requests)[Symbol.asyncIterator]();
    if (first) await responses.next();
    await client.deleteSession({ sessionId });
    requests.send(chunk);
    await assertRefused(responses.next(), NOT_FOUND);
    requests.end();
  }
});

test("a stream that was altered is refused, with the bytes before it released", async () => {
  const sessionId = await create();
  const parts: Uint8Array[] = [];
  const source = each<object>(startOf(sessionId), plain(Buffer.alloc(200_000, 7)));
  for await (const { ciphertext } of client.encryptStream(source)) parts.push(ciphertext);
  const whole = Buffer.concat(parts);
  whole[150_000] = (whole[150_000] ?? 0) ^ 1;
  const chunks = [0, 50_000, 100_000, 150_000].map((at) =>
    sealed(whole.subarray(at, Math.min(at + 50_000, whole.length))),
  );
  let released = 0;
  const read = async () => {
    const responses = client.decryptStream(each<object>(startOf(sessionId), ...chunks));
    for await (const { plaintext } of responses) {
      assert.ok(plaintext.every((byte) => byte === 7));
      released += plaintext.length;
    }
  };
  await assertRefused(read(), invalid("ciphertext"));
  assert.equal(released, 2 * 65_536 - 40 - 2 * 16);
});

test("requests in a wrong order, and of no session, are refused", async () => {
  const sessionId = await create();
  const start = startOf(sessionId);
  for (const [requests, refusal] of [
    [[], invalid("start")],
    [[plain(NOTHING)], invalid("start")],
    [[{}], invalid("start")],
    [[start, start], invalid("plaintext")],
    [[start, {}], invalid("plaintext")],
    [[startOf("")], invalid("session_id")],
    [[startOf("0".repeat(32))], NOT_FOUND],
    [[startOf(sessionId, 9 as Cipher)], invalid("cipher")],
    [[startOf(sessionId, Cipher.AES_256_CTR, Buffer.of(1))], invalid("associated_data")],
    [[start, plain(Buffer.alloc(MIB))], { code: Code.ResourceExhausted }],
  ] as const) {
    await assertRefused(drain(client.encryptStream(each<object>(...requests))), refusal);
  }
});

test("a stream whose caller cancels, or whose deadline passes, is over at the server", async () => {
  const sessionId = await create();
  // Node's clients end their requests before they reset the stream: it is over either way.
  const endsOf = async (method: string) =>
    (await callsOf(method, "CANCELLED")) + (await callsOf(method, "OK"));
  const raw = new GrpcClient(server.grpc, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  try {
    for (const { name, input } of [
      RkeService.method.encryptStream,
      RkeService.method.decryptStream,
    ]) {
      for (const code of [status.CANCELLED, status.DEADLINE_EXCEEDED]) {
        const method = `latchkey.rke.v1.RkeService/${name}`;
        const before = await endsOf(method);
        const options = code === status.CANCELLED ? {} : { deadline: Date.now() + 1_000 };
        const call = raw.makeBidiStreamRequest(`/${method}`, same, same, new Metadata(), options);
        const failed = once(call, "error");
        const chunk = Buffer.alloc(20);
        const requests = [
          startOf(sessionId, Cipher.AES_256_CTR),
          input === RkeService.method.encryptStream.input ? plain(chunk) : sealed(chunk),
        ];
        for (const request of requests) call.write(toBytes(input, request));
        // That there is an answer shows that the server serves it.
        await once(call, "data");
        if (code === status.CANCELLED) call.cancel();
        const [error] = (await failed) as [ServiceError];
        assert.equal(error.code, code);
        await eventually("its end", async () => (await endsOf(method)) === before + 1);
      }
    }
  } finally {
    raw.close();
  }
});

test("a decryption whose caller leaves is cancelled, not invalid, though its requests end first", async () => {
  const sessionId = await create();
  const [cancelled, wrong] = [
    await callsOf(DECRYPT, "CANCELLED"),
    await callsOf(DECRYPT, "INVALID"),
  ];
  const parts: Uint8Array[] = [];
  const source = each<object>(startOf(sessionId), plain(Buffer.alloc(200_000)));
  for await (const { ciphertext } of client.encryptStream(source)) parts.push(ciphertext);
  const requests = createRequests<object>();
  requests.send(startOf(sessionId), sealed(Buffer.concat(parts).subarray(0, 150_000)));
  const abort = new AbortController();
  const responses = client.decryptStream(requests, { signal: abort.signal });
  await responses[Symbol.asyncIterator]().next();
  // The client of this wire, on Node's own HTTP/2, ends its requests and resets the stream then.
  abort.abort();
  await eventually("its end", async () => {
    return (await callsOf(DECRYPT, "CANCELLED")) === cancelled + 1;
  });
  assert.equal(await callsOf(DECRYPT, "INVALID"), wrong);
  requests.end();
});

test("a stream in which nothing moves for 60 s ends, whether it began or not", async () => {
  const sessionId = await create();
  const { timers } = server;
  // The first chunk's answers are the nonce and the ciphertext, or the plaintext.
  for (const [method, open, chunk, answers] of [
    [ENCRYPT, client.encryptStream, plain(Buffer.alloc(100)), 2],
    [DECRYPT, client.decryptStream, sealed(Buffer.alloc(100)), 1],
  ] as const) {
    const before = await callsOf(method, "LIMIT");
    const silent = createRequests<object>();
    const nothing = open(silent)[Symbol.asyncIterator]().next();
    const requests = createRequests<object>();
    const responses = open(requests)[Symbol.asyncIterator]();
    requests.send(startOf(sessionId, Cipher.AES_256_CTR), chunk);
    for (let count = 0; count < answers; count++) await responses.next();
    await eventually("both at the server", () => timers.count() === 2);

    timers.pass(59_999);
    requests.send(chunk);
    assert.equal((await responses.next()).done, false);
    timers.pass(1);
    await assertRefused(nothing, { code: Code.ResourceExhausted });
    assert.equal(timers.count(), 1);
    timers.pass(59_998);
    requests.send(chunk);
    assert.equal((await responses.next()).done, false);
    timers.pass(60_000);
    await assertRefused(responses.next(), { code: Code.ResourceExhausted });
    assert.equal(timers.count(), 0);
    assert.equal(await callsOf(method, "LIMIT"), before + 2);
    for (const each of [silent, requests]) each.end();
  }
});

test("a caller who reads nothing for 60 s has what was made until then, and no more", async () => {
  const sessionId = await create();
  const before = await callsOf(ENCRYPT, "LIMIT");
  async function* plaintext() {
    yield startOf(sessionId);
    for (let count = 0; count < 64; count++) yield plain(Buffer.alloc(CHUNK));
  }
  const responses = client.encryptStream(plaintext())[Symbol.asyncIterator]();
  await responses.next();
  const taken = await bytesAtRest();
  server.timers.pass(60_000);
  await eventually("its end", async () => (await callsOf(ENCRYPT, "LIMIT")) === before + 1);
  const rest = (async () => {
    while (!(await responses.next()).done);
  })();
  await assertRefused(rest, { code: Code.ResourceExhausted });
  assert.equal(await encryptedBytes("aes-256-gcm"), taken);
});

test("a stream that ended has no timer left", async () => {
  const start = startOf(await create());
  await drain(client.encryptStream(each<object>(start, plain(Buffer.alloc(1)))));
  await assertRefused(drain(client.decryptStream(each(start))), invalid("ciphertext"));
  await eventually("the end of the timers", () => server.timers.count() === 0);
});

for (const name of WIRES.filter((one) => one !== "gRPC")) {
  test(`over ${name} the streams answer that they are not there`, async () => {
    const other = openWire(name, server);
    const { encryptStream, decryptStream } = other.client(RkeService);
    const start = startOf(await create());
    try {
      for (const open of [encryptStream, decryptStream]) {
        await assertRefused(drain(open(each(start))), { code: Code.Unimplemented });
      }
    } finally {
      other.close();
    }
  });
}
