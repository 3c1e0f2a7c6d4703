import assert from "node:assert/strict";
import dns from "node:dns/promises";
import { once } from "node:events";
import { request } from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { after, test } from "node:test";
import { eventually } from "../../support/eventually.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { startTls } from "../../support/tls/trial.js";
import { dialTls } from "../../support/tls/wires.js";

const authority = createAuthority();
after(() => authority.close());
const ca = authority.cert;
const own = authority.issue("localhost");
const renewed = authority.issue("localhost");

const BOTH = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];
/** For documentation: no machine has it. */
const ABSENT = { address: "192.0.2.1", family: 4 };

test("a name of several addresses is served alike on all that the machine has", async (t) => {
  // As `localhost` has on many machines.
  t.mock.method(dns, "lookup", async (_host: string, options?: { all: true }) =>
    options ? [...BOTH, ABSENT] : BOTH[0],
  );
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const settings = { grpc: "localhost:0", http: "localhost:0" };
  const { addresses, accounts, log, files, server } = await startTls(t, own, settings);
  const key = await accounts.newKey("ann");
  await eventually("the key's notice", () => log.some((line) => line.includes("key added")));

  const port = Number(addresses.http.replace(/.*:/, ""));
  for (const { address: host } of BOTH) {
    const headers = { host: `localhost:${port}`, authorization: `Bearer ${key}` };
    const sent = request({ host, port, path: "/session", headers, ca, servername: "localhost" });
    const [answered] = await once(sent.end(), "response");
    answered.resume();
    assert.equal(answered.statusCode, 200, host);
  }
  files.put(renewed);
  server.reloadTls();
  for (const name of ["grpc", "http"] as const) {
    for (const { address: host } of BOTH) {
      const options = { host, ca, servername: "localhost" };
      const socket = await dialTls(name, addresses, options);
      assert.equal(socket.getPeerX509Certificate()?.toString(), renewed.cert, `${name} ${host}`);
      socket.destroy();
    }
  }
});
