import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { createAuthority } from "../transports/certificates.js";
import { eventually } from "../transports/eventually.js";
import { startTls } from "./trial.js";
import { dialTls, openWire, WIRES, type WireName } from "./wires.js";

const authority = createAuthority();
const foreign = createAuthority();
after(() => {
  authority.close();
  foreign.close();
});
const ca = authority.cert;
const own = authority.issue("localhost");
const mutual = { ...own, clientCa: ca };
const ann = { ca, ...authority.issue("ann") };
const bob = { ca, ...authority.issue("bob") };
const nobody = { ca, ...authority.issue("nobody") };

test("a certificate's common name is its account, on every listener", async (t) => {
  const { addresses } = await startTls(t, mutual);
  for (const name of WIRES) {
    for (const [certificate, account] of [
      [ann, "ann"],
      [bob, "bob"],
      [nobody, "unauthenticated"],
    ] as const) {
      const wire = await openWire(name, addresses, certificate);
      assert.equal(await wire.whoAmI(), account, name);
      wire.close();
    }
  }
});

test("a certificate without a common name, or with two, names nobody", async (t) => {
  const { addresses } = await startTls(t, mutual);
  const nameless = { ca, ...authority.issueFor("/O=latchkey") };
  const several = { ca, ...authority.issueFor("/CN=ann/CN=bob") };
  for (const name of WIRES) {
    for (const certificate of [nameless, several]) {
      const wire = await openWire(name, addresses, certificate);
      assert.equal(await wire.whoAmI(), "unauthenticated", name);
      wire.close();
    }
  }
});

test("a disabled account's certificate is refused, and its connections are ended", async (t) => {
  const { addresses, accounts } = await startTls(t, mutual);
  const open = await Promise.all(WIRES.map((name) => openWire(name, addresses, ann)));
  for (const wire of open) assert.equal(await wire.whoAmI(), "ann");
  const ended = Promise.all(open.map(({ socket }) => socket.closed || once(socket, "close")));
  await accounts.setEnabled("ann", false);
  await ended;
  for (const name of WIRES) {
    const wire = await openWire(name, addresses, ann);
    assert.equal(await wire.whoAmI(), "unauthenticated", name);
    wire.close();
  }
});

test("an API key wins over the certificate of its connection", async (t) => {
  const { addresses, accounts, log } = await startTls(t, mutual);
  const key = await accounts.newKey("bob");
  await eventually("the key's notice", () => log.some((line) => line.includes("key added")));
  for (const name of ["grpc", "http"] as const) {
    const wire = await openWire(name, addresses, ann);
    assert.equal(await wire.whoAmI(), "ann", name);
    assert.equal(await wire.whoAmI(key), "bob", name);
    assert.equal(await wire.whoAmI("lk_wrong"), "unauthenticated", name);
    assert.equal(await wire.whoAmI(), "ann", name);
    wire.close();
  }
});

test("a client CA lets in nobody without a certificate of its own", async (t) => {
  const { addresses } = await startTls(t, mutual, { auth: "off" });
  for (const name of WIRES) {
    for (const certificate of [
      { ca },
      { ca, ...foreign.issue("ann") },
      { ca, ...authority.selfSigned("ann") },
    ]) {
      // In TLS 1.3 a client takes the handshake for done before the server has seen its certificate.
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        await assert.rejects(async () => {
          const wire = await openWire(name, addresses, { ...certificate, maxVersion });
          await wire.whoAmI();
        }, name);
      }
    }
    const socket = await dialTls(name, addresses, ann);
    assert.equal(socket.destroyed, false);
    socket.destroy();
  }
});

test("without a client CA no certificate says who calls", async (t) => {
  const { addresses } = await startTls(t, own);
  for (const name of WIRES) {
    const wire = await openWire(name, addresses, ann);
    assert.equal(await wire.whoAmI(), "unauthenticated", name);
    wire.close();
  }
});

/** What a later connection could resume; undefined if the server ends this one without it. */
async function sessionOf(...connection: Parameters<typeof dialTls>): Promise<Buffer | undefined> {
  const socket = await dialTls(...connection);
  const session = await new Promise<Buffer | undefined>((resolve) => {
    socket.once("session", resolve).once("close", () => resolve(undefined));
  });
  socket.destroy();
  return session;
}

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`a resumed session is the account that began it (${maxVersion})`, async (t) => {
    const { addresses, accounts } = await startTls(t, mutual);
    const sessions = new Map<WireName, Buffer>();
    for (const name of WIRES) {
      const options = { ...ann, maxVersion };
      const wire = await openWire(name, addresses, options);
      const session = once(wire.socket, "session") as Promise<[Buffer]>;
      assert.equal(await wire.whoAmI(), "ann");
      const ticket = maxVersion === "TLSv1.2" ? wire.socket.getSession() : (await session)[0];
      assert.ok(ticket);
      sessions.set(name, ticket);
      wire.close();
      // With another certificate or none: what it began with is what counts.
      for (const other of [{ ca }, bob, ann]) {
        const resumed = await openWire(name, addresses, { ...other, maxVersion, session: ticket });
        assert.equal(resumed.socket.isSessionReused(), true, name);
        assert.equal(await resumed.whoAmI(), "ann", name);
        resumed.close();
      }
    }
    await accounts.setEnabled("ann", false);
    for (const [name, session] of sessions) {
      await eventually("the refusal", async () => {
        const resumed = await openWire(name, addresses, { ca, maxVersion, session });
        const account = await resumed.whoAmI().catch(() => "ended");
        resumed.close();
        return account === "unauthenticated";
      });
    }
  });
}

test("a session of a certificate that was refused cannot be resumed into", async (t) => {
  const { addresses } = await startTls(t, mutual);
  for (const name of WIRES) {
    const stranger = { ca, ...foreign.issue("ann") };
    const session = await sessionOf(name, addresses, stranger);
    await assert.rejects(async () => {
      const wire = await openWire(name, addresses, { ca, ...(session && { session }) });
      await wire.whoAmI();
    }, name);
  }
});

test("a session begun under an authority that is replaced cannot be resumed", async (t) => {
  const { addresses, files, server } = await startTls(t, mutual);
  for (const name of WIRES) {
    files.put({ clientCa: ca });
    server.reloadTls();
    const session = await sessionOf(name, addresses, ann);
    assert.ok(session, name);
    files.put({ clientCa: foreign.cert });
    server.reloadTls();
    await assert.rejects(async () => {
      const wire = await openWire(name, addresses, { ...ann, session });
      await wire.whoAmI();
    }, name);
    const wire = await openWire(name, addresses, { ca, ...foreign.issue("bob") });
    assert.equal(await wire.whoAmI(), "bob", name);
    wire.close();
  }
});
