import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import { request } from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { after, type TestContext, test } from "node:test";
import { createAuthority } from "../transports/certificates.js";
import { eventually } from "../transports/eventually.js";
import { startTls } from "./trial.js";
import { dialTls } from "./wires.js";

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

/** Lets `localhost` have several addresses while `body` runs, as it has on many machines. */
async function withAddresses<T>(t: TestContext, body: () => Promise<T>): Promise<T> {
  const answer = (options: unknown) =>
    typeof options === "object" && options && "all" in options && options.all
      ? [...BOTH, ABSENT]
      : BOTH[0];
  const { lookup } = dns.promises;
  t.mock.method(dns.promises, "lookup", async (host: string, options: object = {}) =>
    host === "localhost" ? answer(options) : lookup(host, options),
  );
  const { lookup: look } = dns;
  t.mock.method(dns, "lookup", (host: string, ...rest: [object, (...found: unknown[]) => void]) => {
    const callback = rest.at(-1) as (...found: unknown[]) => void;
    if (host !== "localhost") return look(host, ...(rest as [object, () => void]));
    const found = answer(rest[0]);
    if (Array.isArray(found)) callback(null, found);
    else callback(null, found?.address, found?.family);
  });
  syncBuiltinESMExports();
  try {
    return await body();
  } finally {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  }
}

test("a name of several addresses is served alike on all that the machine has", async (t) => {
  const settings = { grpc: "localhost:0", http: "localhost:0" };
  const { addresses, accounts, log, files, server } = await withAddresses(t, () =>
    startTls(t, own, settings),
  );
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
