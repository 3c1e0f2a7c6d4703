import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { withGuarded } from "../../support/accounts.js";
import { createAuthority } from "../../support/tls/certificates.js";
import {
  dialFrom,
  EVERYWHERE,
  freePort,
  meetInOnePlace,
  openFrom,
  type Person,
} from "../../support/tls/places.js";
import { startTls } from "../../support/tls/trial.js";
import { WIRES } from "../../support/tls/wires.js";

const authority = createAuthority();
after(() => authority.close());
const ca = authority.cert;
const mutual = { ...authority.issue("localhost"), clientCa: ca };
const ann: Person = { account: "ann", tls: { ca, ...authority.issue("ann") } };
const nobody: Person = {
  account: "unauthenticated",
  tls: { ca, ...authority.issue("nobody") },
};

// Two connections from one address and port are possible where they go to different addresses.
for (const people of [
  [ann, nobody],
  [nobody, ann],
] as const) {
  const [first, second] = people.map(({ account }) => account);
  test(`of two certificates from one port, ${second} is not taken for ${first}, nor ends it`, async (t) => {
    const { addresses } = await startTls(t, mutual, EVERYWHERE);
    for (const name of WIRES) {
      assert.deepEqual(await meetInOnePlace(name, addresses, people), []);
    }
  });
}

test("without TLS, a stranger from a caller's port is a stranger", () =>
  withGuarded(async (server) => {
    const { name: account, password, key } = server.ann;
    const caller = { account, sent: { key, login: [account, password] }, tls: null } as const;
    const stranger = { account: "unauthenticated", tls: null };
    for (const name of WIRES) {
      assert.deepEqual(await meetInOnePlace(name, server, [caller, stranger]), []);
      assert.deepEqual(await meetInOnePlace(name, server, [stranger, caller]), []);
    }
  }, EVERYWHERE));

test("a bare connection from a caller's port does not cut it off", async (t) => {
  const { addresses } = await startTls(t, mutual, EVERYWHERE);
  for (const name of WIRES) {
    const port = await freePort();
    const one = await openFrom(port, "127.0.0.1", name, addresses, ann);
    assert.equal(await one.whoAmI(), "ann", name);
    const bare = await dialFrom(port, "127.0.0.2", addresses[name]);
    assert.equal(await one.whoAmI(), "ann", name);
    bare.destroy();
    await once(bare, "close");
    assert.equal(await one.whoAmI(), "ann", name);
    one.close();
  }
});
