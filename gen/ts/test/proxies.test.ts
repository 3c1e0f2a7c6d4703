import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeFolder, startServer } from "../../../test/support/process/server.js";
import {
  freeAddress,
  isInstalled,
  PROXIES,
  type ProxyName,
  startProxy,
} from "../../../test/system/clients/proxy.js";
import { createLatchkey, type Latchkey } from "../src/index.js";

const TRANSPORTS = ["grpc", "connect"] as const;
/** Milliseconds that a call may take whose server comes back meanwhile. */
const PATIENCE = 60_000;

for (const name of PROXIES) {
  for (const transport of TRANSPORTS) {
    test(
      `a watch and a read behind ${name} outlast the death of the server, over ${transport}`,
      {
        skip: !isInstalled(name) && `${name} is not installed`,
        timeout: 100_000,
      },
      (t) => outlast(t, name, transport),
    );
  }
}

async function outlast(t: TestContext, name: ProxyName, transport: (typeof TRANSPORTS)[number]) {
  const settings = {
    LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}`,
    LATCHKEY_GRPC: await freeAddress(),
    LATCHKEY_HTTP: await freeAddress(),
    LATCHKEY_COMMAND: "off",
  };
  const first = await startServer(t, settings);
  const proxy = await startProxy(t, name, first);
  const latchkey = createLatchkey({
    address: transport === "grpc" ? proxy.grpc : proxy.http,
    transport,
  });
  t.after(() => latchkey.close());
  const told = tellUsers(latchkey);
  assert.equal(await told.next(), "snapshot");
  const { token } = await create(latchkey, "before");
  assert.equal(await told.next(), "before");

  await first.stop("SIGKILL");
  const read = latchkey.sessions.getSession({ app: "proxied", token }, { timeoutMs: PATIENCE });
  // It has met the proxy's word for a server that is away, if it has one.
  const quick = latchkey.sessions.getSession({ app: "proxied", token }, { timeoutMs: 1_000 });
  const failure = await quick.then(
    () => assert.fail("there is no server"),
    ({ code, reason, message }) => ({ code, reason, message }),
  );
  assert.equal(failure.reason, undefined);
  const start = performance.now();
  const passed = () => `${((performance.now() - start) / 1_000).toFixed(1)} s`;
  await startServer(t, settings);
  t.diagnostic(`${name}, ${transport}: away: ${failure.code} ${failure.message}; up ${passed()}`);
  await read;
  t.diagnostic(`${name}, ${transport}: the read was answered after ${passed()}`);
  await create(latchkey, "after");
  t.diagnostic(`${name}, ${transport}: the write was answered after ${passed()}`);
  assert.equal(await told.next(), "after");
  t.diagnostic(`${name}, ${transport}: the watch told it after ${passed()}`);
  await told.end();
}

/** Whose sessions a watch tells of, one after the other. */
function tellUsers(latchkey: Latchkey) {
  const abort = new AbortController();
  const users = (async function* () {
    for await (const { content } of latchkey.watch({ app: "proxied" }, { signal: abort.signal })) {
      if (content.case === "snapshotEnd") yield "snapshot";
      if (content.case === "reset") yield "reset";
      if (content.case !== "events") continue;
      for (const { userId } of content.value.events) yield userId;
    }
  })();
  return {
    next: async () => (await users.next()).value,
    async end() {
      abort.abort();
      await users.next().catch(() => undefined);
    },
  };
}

/** Creates a session, however often that takes: calls fail for a while after the server was away. */
async function create(latchkey: Latchkey, userId: string) {
  for (const end = performance.now() + PATIENCE; ; ) {
    try {
      return await latchkey.sessions.createSession({ app: "proxied", userId });
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}
