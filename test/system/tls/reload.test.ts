import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { eventually } from "../../support/eventually.js";
import { FREE_PORTS, makeFolder, runRefused, startServer } from "../../support/process/server.js";
import { type Certificate, createAuthority } from "../../support/tls/certificates.js";
import { createFiles, type Files, openAccounts } from "../../support/tls/trial.js";
import { dialTls, openWire, WIRES } from "../../support/tls/wires.js";

const authority = createAuthority();
const other = createAuthority();
after(() => {
  authority.close();
  other.close();
});
const ca = authority.cert;
const own = authority.issue("localhost");
const renewed = authority.issue("localhost");
const ann = { ca, ...authority.issue("ann") };

const TAKEN = "TLS files read again";
const NOT_TAKEN = "TLS files not taken: the ones read before stay in use";

/** The process of a server with all listeners over TLS, and the account ann. */
async function serve(t: TestContext, paths: ReturnType<typeof createFiles>["paths"]) {
  const path = join(await makeFolder(t), "latchkey.db");
  (await openAccounts(path, "ann")).close();
  const server = await startServer(t, {
    LATCHKEY_STORE: `sqlite:${path}`,
    LATCHKEY_AUTH: "required",
    LATCHKEY_TLS_CERT: paths.cert,
    LATCHKEY_TLS_KEY: paths.key,
    ...(paths.clientCa && { LATCHKEY_TLS_CLIENT_CA: paths.clientCa }),
  });
  const command = server.log().find(({ listener }) => listener === "command")?.["address"];
  assert.ok(typeof command === "string");
  const addresses = { grpc: server.grpc, http: server.http, command };
  const count = (msg: string) => server.log().filter((line) => line["msg"] === msg).length;
  return {
    server,
    addresses,
    count,
    /** Whether new connections get this certificate, on every listener. */
    async assertShown({ cert }: Pick<Certificate, "cert">, options: object = ann) {
      for (const name of WIRES) {
        const socket = await dialTls(name, addresses, { ...options, rejectUnauthorized: false });
        assert.equal(socket.getPeerX509Certificate()?.toString(), cert, name);
        socket.destroy();
      }
    },
  };
}

function filesOf(t: TestContext, content: Files) {
  const files = createFiles(content);
  t.after(files.remove);
  return files;
}

test("on SIGHUP new connections get the new certificate, and the open ones go on", async (t) => {
  const files = filesOf(t, { ...own, clientCa: ca });
  const { server, addresses, assertShown } = await serve(t, files.paths);
  const open = await Promise.all(WIRES.map((name) => openWire(name, addresses, ann)));
  for (const wire of open) assert.equal(await wire.whoAmI(), "ann");
  await assertShown(own);
  files.put(renewed);
  server.signal("SIGHUP");
  await server.logged(TAKEN);
  await assertShown(renewed);
  for (const wire of open) {
    assert.equal(await wire.whoAmI(), "ann");
    wire.close();
  }
  assert.equal((await server.stop()).status, 0);
});

test("files that are renamed into place are taken without a signal", async (t) => {
  const files = filesOf(t, { ...own, clientCa: ca });
  const { server, addresses, assertShown } = await serve(t, files.paths);
  const open = await Promise.all(WIRES.map((name) => openWire(name, addresses, ann)));
  files.put(renewed);
  await server.logged(TAKEN);
  await assertShown(renewed);
  for (const wire of open) {
    assert.equal(await wire.whoAmI(), "ann");
    wire.close();
  }
});

test("a folder of files that a link is turned to is taken without a signal", async (t) => {
  // As Kubernetes mounts secrets: tls.crt -> ..data/tls.crt, ..data -> ..2026_1.
  const folder = await makeFolder(t);
  const link = join(folder, "..data");
  const put = (name: string, { cert, key }: Certificate) => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "tls.crt"), cert);
    writeFileSync(join(folder, name, "tls.key"), key);
    symlinkSync(name, `${link}_tmp`);
    renameSync(`${link}_tmp`, link);
  };
  put("..2026_1", own);
  for (const name of ["tls.crt", "tls.key"]) symlinkSync(`..data/${name}`, join(folder, name));
  const paths = { cert: join(folder, "tls.crt"), key: join(folder, "tls.key"), clientCa: null };
  const { server, assertShown, count } = await serve(t, paths);
  put("..2026_2", renewed);
  rmSync(join(folder, "..2026_1"), { recursive: true });
  await server.logged(TAKEN);
  await assertShown(renewed);
  assert.equal(count(NOT_TAKEN), 0);
});

test("files that do not do are refused with a line, and those before stay in use", async (t) => {
  const files = filesOf(t, { ...own, clientCa: ca });
  const { server, addresses, assertShown, count } = await serve(t, files.paths);
  const broken: readonly [what: string, Partial<Files>, named: string][] = [
    ["a key of another certificate", { key: renewed.key }, files.paths.key],
    ["a certificate that is cut short", { cert: own.cert.slice(0, 300) }, files.paths.cert],
    ["an empty certificate", { cert: "" }, files.paths.cert],
    ["an authority that is none", { clientCa: "none" }, files.paths.clientCa ?? ""],
    ["an empty authority", { clientCa: "" }, files.paths.clientCa ?? ""],
  ];
  for (const [what, change, named] of broken) {
    const before = count(NOT_TAKEN);
    files.put(change);
    server.signal("SIGHUP");
    await eventually(`the refusal of ${what}`, () => count(NOT_TAKEN) > before);
    const line = server.log().findLast(({ msg }) => msg === NOT_TAKEN) ?? {};
    assert.equal(line["level"], 50, what);
    const { message } = line["err"] as { message: string };
    assert.ok(message.includes(named), message);
    assert.doesNotMatch(JSON.stringify(line), /BEGIN/, "no key is in it");
    await assertShown(own);
    const wire = await openWire("http", addresses, ann);
    assert.equal(await wire.whoAmI(), "ann", what);
    wire.close();
    files.put({ ...own, clientCa: ca });
  }
});

test("a client CA that is replaced holds for new connections", async (t) => {
  const files = filesOf(t, { ...own, clientCa: ca });
  const { server, addresses } = await serve(t, files.paths);
  const open = await Promise.all(WIRES.map((name) => openWire(name, addresses, ann)));
  files.put({ clientCa: other.cert });
  server.signal("SIGHUP");
  await server.logged(TAKEN);
  for (const name of WIRES) {
    await assert.rejects(async () => {
      const wire = await openWire(name, addresses, ann);
      await wire.whoAmI();
    }, name);
    const wire = await openWire(name, addresses, { ca, ...other.issue("ann") });
    assert.equal(await wire.whoAmI(), "ann", name);
    wire.close();
  }
  for (const wire of open) {
    assert.equal(await wire.whoAmI(), "ann");
    wire.close();
  }
});

test("SIGHUP without TLS changes nothing", async (t) => {
  const server = await startServer(t, { LATCHKEY_STORE: "memory:" });
  server.signal("SIGHUP");
  assert.equal((await server.stop()).status, 0);
});

test("a server whose TLS files do not do ends with one line and status 1", async (t) => {
  const good = filesOf(t, { ...own, clientCa: ca });
  const { paths } = good;
  const garbage = join(good.folder, "garbage");
  writeFileSync(garbage, "garbage");
  const missing = join(good.folder, "missing");
  const store = join(good.folder, "new", "latchkey.db");
  for (const [cert, key, clientCa, ...named] of [
    [missing, paths.key, "none", missing],
    [paths.cert, missing, "none", missing],
    [paths.cert, paths.key, missing, missing],
    [paths.cert, paths.key, garbage, garbage],
    [garbage, paths.key, "none", garbage],
    [paths.cert, garbage, "none", garbage],
    [paths.cert, filesOf(t, renewed).paths.key, "none", paths.cert, "no certificate with its key"],
    [good.folder, paths.key, "none", good.folder],
    [paths.cert, "none", "none", "LATCHKEY_TLS_KEY"],
    ["none", "none", paths.cert, "LATCHKEY_TLS_CLIENT_CA"],
  ] as const) {
    const run = await runRefused(t, {
      ...FREE_PORTS,
      LATCHKEY_STORE: `sqlite:${store}`,
      LATCHKEY_TLS_CERT: cert,
      LATCHKEY_TLS_KEY: key,
      LATCHKEY_TLS_CLIENT_CA: clientCa,
    });
    assert.deepEqual({ status: run.status, stdout: run.stdout }, { status: 1, stdout: "" });
    assert.match(run.stderr, /^latchkey: [^\n]+\n$/);
    for (const part of named) assert.ok(run.stderr.includes(part), run.stderr);
  }
});
