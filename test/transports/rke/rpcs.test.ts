import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/ts/google/rpc/error_details_pb.js";
import { Cipher } from "../../../gen/ts/latchkey/rke/v1/cipher_pb.js";
import { RkeService } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { EXCHANGE_CODES } from "../../../src/services/rke/rke.js";
import { DERIVED, WALLET } from "../../support/rke/fake-exchange.js";
import { assertRefused, invalid, NOT_FOUND, type Refusal } from "../../support/transports/case.js";
import { NOW, startServer, type TestServer } from "../../support/transports/server.js";
import { openWire, WIRES, type Wire } from "../../support/transports/wires.js";

const HOUR = 3_600_000;
const UNKNOWN = "0".repeat(32);
const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

const REFUSALS: Readonly<Record<string, Refusal>> = {
  not_found: NOT_FOUND,
  invalid: invalid("wallet_path"),
  unavailable: { code: Code.Unavailable, reason: "UNAVAILABLE" },
};

for (const name of WIRES) {
  describe(`RkeService over ${name}`, () => {
    let server: TestServer;
    let wire: Wire;
    let client: Client<typeof RkeService>;
    before(async () => {
      server = await startServer();
      wire = openWire(name, server);
      client = wire.client(RkeService);
    });
    after(async () => {
      wire.close();
      await server.close();
    });

    const create = async (domain = "cs.example") => {
      const { session, fromCache } = await client.createSession({ domain, walletPath: WALLET });
      assert.ok(session);
      return { session, sessionId: session.sessionId, fromCache };
    };
    const seal = async (sessionId: string, cipher: Cipher, text: string, data = "") => {
      const items = [{ plaintext: bytes(text), associatedData: bytes(data) }];
      const { results } = await client.encrypt({ sessionId, cipher, items });
      const [{ result } = assert.fail()] = results;
      assert.equal(result.case, "encrypted");
      return result.value as { ciphertext: Uint8Array; nonce: Uint8Array };
    };

    test("a Content Server is discovered with its key sets", async () => {
      const { contentServer } = await client.discoverContentServer({ domain: "CS.example" });
      assert.ok(contentServer);
      const { domain, targetHost, targetPort, minRaidasRequired, keySets } = contentServer;
      assert.deepEqual(
        { domain, targetHost, targetPort, minRaidasRequired },
        {
          domain: "cs.example",
          targetHost: "cs.cs.example",
          targetPort: 9_999,
          minRaidasRequired: 13,
        },
      );
      assert.deepEqual(
        keySets.map(({ keyId, csId, serverCount }) => [keyId, csId, serverCount]),
        [
          [1, "EXAMPLE_SERVER", 25],
          [2, "EXAMPLE_OTHER", 20],
        ],
      );
    });

    test("a session is created, shown, listed and deleted", async () => {
      const { session, sessionId, fromCache } = await create("one.example");
      assert.equal(fromCache, false);
      assert.match(sessionId, /^[0-9a-f]{32}$/);
      const { domain, csId, keyId, createdAt, expiresAt, keyDerivation } = session;
      assert.deepEqual([domain, csId, keyId], ["one.example", "EXAMPLE_SERVER", 1]);
      assert.ok(createdAt && expiresAt && keyDerivation?.time);
      assert.deepEqual([timestampMs(createdAt), timestampMs(expiresAt)], [NOW, NOW + HOUR]);
      assert.deepEqual(
        [keyDerivation.raidas, keyDerivation.clientSerial, timestampMs(keyDerivation.time)],
        [DERIVED.raidas, DERIVED.clientSerial, DERIVED.time * 1_000],
      );
      assert.deepEqual((await client.getSession({ sessionId })).session, session);
      assert.deepEqual((await client.listSessions({})).sessions, [session]);
      assert.equal((await create("one.example")).fromCache, true);
      await client.deleteSession({ sessionId, forgetKey: true });
      await assertRefused(client.getSession({ sessionId }), NOT_FOUND);
      const { session: next, fromCache: isKept } = await create("one.example");
      assert.equal(isKept, false);
      for (const one of (await client.listSessions({})).sessions) {
        await client.deleteSession({ sessionId: one.sessionId });
      }
      assert.equal(next.domain, "one.example");
    });

    test("what a session encrypted another with its key decrypts, and counts tell", async () => {
      const [{ sessionId }, other] = [await create(), await create()];
      for (const [cipher, tag, nonceBytes] of [
        [Cipher.UNSPECIFIED, 16, 12],
        [Cipher.AES_256_GCM, 16, 12],
        [Cipher.AES_256_CTR, 0, 16],
      ] as const) {
        const data = cipher === Cipher.AES_256_CTR ? "" : "associated";
        const sealed = await seal(sessionId, cipher, "hello", data);
        assert.equal(sealed.ciphertext.length, 5 + tag);
        assert.equal(sealed.nonce.length, nonceBytes);
        const items = [{ ...sealed, associatedData: bytes(data) }];
        const { results } = await client.decrypt({ sessionId: other.sessionId, cipher, items });
        assert.deepEqual(
          results.map(
            ({ result }) => result.case === "plaintext" && `${Buffer.from(result.value)}`,
          ),
          ["hello"],
        );
      }
      const { session: first } = await client.getSession({ sessionId });
      const { session: second } = await client.getSession({ sessionId: other.sessionId });
      assert.deepEqual([first?.encryptCount, first?.decryptCount], [3n, 0n]);
      assert.deepEqual([second?.encryptCount, second?.decryptCount], [0n, 3n]);
    });

    test("each item of a batch has its own result or error", async () => {
      const { sessionId } = await create();
      const good = await seal(sessionId, Cipher.AES_256_GCM, "good");
      const altered = Uint8Array.from(good.ciphertext, (byte) => byte ^ 1);
      const items = [good, { ...good, ciphertext: altered }, { ...good, nonce: bytes("short") }];
      const { results } = await client.decrypt({ sessionId, items });
      assert.deepEqual(
        results.map(({ result }) => (result.case === "error" ? result.value.reason : result.case)),
        ["plaintext", "INVALID", "INVALID"],
      );
      const { results: refused } = await client.encrypt({
        sessionId,
        cipher: Cipher.AES_256_CTR,
        items: [{ plaintext: bytes("a"), associatedData: bytes("a") }, { plaintext: bytes("b") }],
      });
      assert.deepEqual(
        refused.map(({ result }) => result.case),
        ["error", "encrypted"],
      );
    });

    test("a batch of nearly 1 MiB and one of 1000 items go through, larger ones are refused", async () => {
      const { sessionId } = await create();
      // Connect's JSON carries bytes as Base64.
      const size = name === "Connect JSON" ? 780_000 : 1_048_000;
      const { results } = await client.encrypt({
        sessionId,
        items: [{ plaintext: new Uint8Array(size) }],
      });
      const [{ result } = assert.fail()] = results;
      assert.equal(result.case === "encrypted" && result.value.ciphertext.length, size + 16);
      await assertRefused(
        client.encrypt({ sessionId, items: [{ plaintext: new Uint8Array(1_048_577) }] }),
        { code: Code.ResourceExhausted },
      );
      const batch = (length: number) => Array.from({ length }, () => ({ plaintext: bytes("a") }));
      assert.equal(
        (await client.encrypt({ sessionId, items: batch(1_000) })).results.length,
        1_000,
      );
      for (const length of [0, 1_001]) {
        await assertRefused(client.encrypt({ sessionId, items: batch(length) }), invalid("items"));
      }
    });

    test("unknown sessions, and fields out of their range, are refused", async () => {
      const items = [{ plaintext: bytes("a") }];
      for (const [sessionId, refusal] of [
        [UNKNOWN, NOT_FOUND],
        ["", invalid("session_id")],
        ["A".repeat(32), invalid("session_id")],
      ] as const) {
        await assertRefused(client.getSession({ sessionId }), refusal);
        await assertRefused(client.deleteSession({ sessionId }), refusal);
        await assertRefused(client.encrypt({ sessionId, items }), refusal);
        await assertRefused(client.decrypt({ sessionId, items: [{}] }), refusal);
      }
      const { sessionId } = await create();
      const cipher = 7 as Cipher;
      await assertRefused(client.encrypt({ sessionId, items, cipher }), invalid("cipher"));
      await assertRefused(client.discoverContentServer({ domain: "a b" }), invalid("domain"));
      await assertRefused(client.createSession({ domain: "a b" }), invalid("domain"));
      await assertRefused(client.createSession({ domain: "a.example" }), invalid("wallet_path"));
    });

    test("each failure of an exchange says its reason, and a fault of the server nothing", async () => {
      for (const [reason, code] of Object.entries(EXCHANGE_CODES)) {
        const domain = `${reason.replaceAll("_", "-")}.fails.example`;
        const creating = create(domain);
        await assertRefused(creating, REFUSALS[code] ?? assert.fail(), reason);
        const error = await creating.catch((thrown: unknown) => thrown);
        assert.ok(error instanceof ConnectError);
        const [info] = error.findDetails(ErrorInfoSchema);
        assert.deepEqual(info?.metadata, { exchange_reason: reason });
      }
      await assertRefused(create("fault.fails.example"), {
        code: Code.Internal,
        reason: "INTERNAL",
      });
    });

    test("a 17th session is refused until one is deleted or expires", async () => {
      for (const { sessionId } of (await client.listSessions({})).sessions) {
        await client.deleteSession({ sessionId });
      }
      const made = await Promise.allSettled(Array.from({ length: 32 }, () => create()));
      const all = made.flatMap((one) => (one.status === "fulfilled" ? [one.value.sessionId] : []));
      assert.equal(all.length, 16);
      const full = { code: Code.ResourceExhausted, reason: "LIMIT" };
      await assertRefused(create(), full);
      await client.deleteSession({ sessionId: all[0] ?? "" });
      await create();
      await assertRefused(create(), full);
      server.clock.advance(HOUR);
      await create();
      assert.equal((await client.listSessions({})).sessions.length, 1);
    });
  });
}
