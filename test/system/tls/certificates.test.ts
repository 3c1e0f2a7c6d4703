import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { eventually } from "../../support/eventually.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { startTls } from "../../support/tls/trial.js";
import { dialTls, openWire, WIRES } from "../../support/tls/wires.js";

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

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`every connection shows its certificate anew: none is resumed (${maxVersion})`, async (t) => {
    const { addresses } = await startTls(t, mutual);
    for (const name of WIRES) {
      const first = await openWire(name, addresses, { ...ann, maxVersion });
      const sessions: Buffer[] = [];
      first.socket.on("session", (session) => sessions.push(session));
      assert.equal(await first.whoAmI(), "ann");
      const session = sessions[0] ?? first.socket.getSession();
      first.close();
      const resume = { maxVersion, ...(session && { session }) };
      await assert.rejects(async () => {
        const wire = await openWire(name, addresses, { ca, ...resume });
        await wire.whoAmI();
      }, name);
      const second = await openWire(name, addresses, { ...bob, ...resume });
      assert.equal(second.socket.isSessionReused(), false, name);
      assert.equal(await second.whoAmI(), "bob", name);
      second.close();
    }
  });
}

test("a resumed session without a client CA is nobody's", async (t) => {
  const { addresses, accounts, log } = await startTls(t, own);
  const key = await accounts.newKey("ann");
  await eventually("the key's notice", () => log.some((line) => line.includes("key added")));
  for (const name of ["grpc", "http"] as const) {
    const first = await openWire(name, addresses, { ca });
    const issued = once(first.socket, "session") as Promise<[Buffer]>;
    assert.equal(await first.whoAmI(key), "ann");
    const [session] = await issued;
    first.close();
    const resumed = await openWire(name, addresses, { ca, session });
    assert.equal(resumed.socket.isSessionReused(), true, name);
    assert.equal(await resumed.whoAmI(), "unauthenticated", name);
    assert.equal(await resumed.whoAmI(key), "ann", name);
    resumed.close();
  }
});
