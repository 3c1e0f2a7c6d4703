import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  type CallerSession,
  CallerSessionSchema,
} from "../../../gen/ts/latchkey/session/v1/caller_session_pb.js";
import {
  GetCurrentSessionResponseSchema,
  SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { Config } from "../../../src/config/config.js";
import { type Guarded, withGuarded } from "../../support/accounts.js";
import { createAuthority } from "../../support/tls/certificates.js";
import { createFiles } from "../../support/tls/trial.js";
import { startServer } from "../../support/transports/server.js";

interface Files {
  readonly folder: string;
  readonly grpc: string;
  readonly http: string;
}

/** Runs `body` with paths for sockets in a folder of its own. */
async function withFiles(body: (files: Files) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-unix-"));
  try {
    await body({ folder, grpc: join(folder, "grpc.sock"), http: join(folder, "http.sock") });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const listening = ({ grpc, http }: Files, more: Partial<Config> = {}): Partial<Config> => ({
  grpc: `unix:${grpc}`,
  http: `unix:${http}`,
  ...more,
});

/** Runs `body` with a server on socket files that requires authentication. */
const withServer = (
  body: (server: Guarded, files: Files) => Promise<void>,
  more: Partial<Config> = {},
) => withFiles((files) => withGuarded((server) => body(server, files), listening(files, more)));

/** Whom the server takes a gRPC call for. */
function currentSession(client: Client, headers: Record<string, string>): Promise<CallerSession> {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      `/${SessionService.typeName}/GetCurrentSession`,
      (bytes: Uint8Array) => Buffer.from(bytes),
      (bytes) => fromBinary(GetCurrentSessionResponseSchema, bytes).session,
      new Uint8Array(),
      metadata,
      (error, session) => {
        if (error || !session) reject(error ?? new Error("no session"));
        else resolve(fromBinary(CallerSessionSchema, toBinary(CallerSessionSchema, session)));
      },
    );
  });
}

const dialGrpc = ({ grpc }: Files) =>
  new Client(`unix:${grpc}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });

/** A GET by the socket file. */
function get({ http: socketPath }: Files, path: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = request({ socketPath, path, headers, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    sent.on("error", reject).end();
  });
}

/** A GET by the socket file through TLS, to its status. */
function getSecurely({ http: socketPath }: Files, path: string, ca: string) {
  return new Promise<number | undefined>((resolve, reject) => {
    const options = { socketPath, path, ca, servername: "localhost", agent: false };
    const sent = secureRequest(options, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode));
    });
    sent.on("error", reject).end();
  });
}

const start = (settings: Partial<Config>) => startServer("memory", "silent", settings);

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

test("gRPC and HTTP are served on socket files, which are gone when the server is", () =>
  withFiles(async (files) => {
    await withGuarded(async (server) => {
      assert.deepEqual([server.grpc, server.http], [`unix:${files.grpc}`, `unix:${files.http}`]);
      assert.deepEqual(
        server.log
          .map((line) => JSON.parse(line) as { msg: string })
          .filter(({ msg }) => msg.includes("listens on unix:"))
          .map(({ msg }) => msg),
        [`grpc listens on unix:${files.grpc}`, `http listens on unix:${files.http}`],
      );
      const client = dialGrpc(files);
      const { account } = await currentSession(client, { authorization: server.ann.bearer });
      client.close();
      assert.equal(account, "ann");
      const { status, text } = await get(files, "/session", { authorization: server.bob.bearer });
      assert.equal(status, 200);
      assert.match(text, /"Username":"bob"/);
      assert.equal((await get(files, "/readyz")).status, 200);
    }, listening(files));
    for (const path of [files.grpc, files.http]) await assert.rejects(lstat(path));
  }));

for (const umask of [0, 0o022, 0o077]) {
  test(`a socket file has the mode of its setting under the umask ${umask.toString(8)}`, () =>
    withFiles(async (files) => {
      const before = process.umask(umask);
      try {
        const server = await start(listening(files));
        assert.deepEqual([await modeOf(files.grpc), await modeOf(files.http)], [0o600, 0o600]);
        await server.close();
        const open = { grpc: `unix:${files.grpc},mode=660`, http: `unix:${files.http},mode=0666` };
        const other = await start(open);
        assert.deepEqual([await modeOf(files.grpc), await modeOf(files.http)], [0o660, 0o666]);
        assert.equal(other.grpc, `unix:${files.grpc}`);
        assert.equal(process.umask(), umask);
        await other.close();
      } finally {
        process.umask(before);
      }
    }));
}

test("callers by a socket file have its path for an address, each connection a session", () =>
  withServer(async ({ ann, logged }, files) => {
    const clients = [dialGrpc(files), dialGrpc(files)];
    const headers = { authorization: ann.bearer, "x-forwarded-for": "192.0.2.7" };
    const [one, other] = await Promise.all(
      clients.map((client) => currentSession(client, headers)),
    );
    assert.equal(one?.address, `unix:${files.grpc}`);
    assert.match(one?.sessionId ?? "", /^\d+-unix:\//);
    assert.notEqual(one?.sessionId, other?.sessionId);
    const [first, second] = clients;
    first?.close();
    if (second) assert.equal((await currentSession(second, headers)).sessionId, other?.sessionId);
    second?.close();
    assert.equal((await get(files, "/session")).status, 401);
    assert.deepEqual(
      logged("authentication failed").map(({ address }) => address),
      [`unix:${files.http}`],
    );
  }));

test("a proxy on a socket file is believed where unix: is a trusted proxy", () =>
  withServer(
    async ({ ann }, files) => {
      const headers = { authorization: ann.bearer, "x-forwarded-for": "6.6.6.6, 192.0.2.7" };
      const client = dialGrpc(files);
      assert.equal((await currentSession(client, headers)).address, "192.0.2.7");
      client.close();
      assert.match((await get(files, "/session", headers)).text, /"session_id":"\d+-192\.0\.2\.7"/);
    },
    { trustedProxies: ["unix:"] },
  ));

test("TLS is spoken on socket files where it is on", () =>
  withFiles(async (files) => {
    const authority = createAuthority();
    const tls = createFiles(authority.issue("localhost"));
    try {
      await withGuarded(
        async ({ ann }) => {
          const ca = Buffer.from(authority.cert);
          const client = new Client(`unix:${files.grpc}`, credentials.createSsl(ca), {
            "grpc.ssl_target_name_override": "localhost",
          });
          const { address } = await currentSession(client, { authorization: ann.bearer });
          client.close();
          assert.equal(address, `unix:${files.grpc}`);
          assert.equal(await getSecurely(files, "/livez", authority.cert), 200);
          await assert.rejects(get(files, "/livez"));
        },
        listening(files, { tls: tls.paths }),
      );
    } finally {
      tls.remove();
      authority.close();
    }
  }));

test("hosts and origins are checked on a socket file as on loopback", () =>
  withServer(async ({ ann }, files) => {
    const statusOf = async (headers: Record<string, string>) =>
      (await get(files, "/session", { authorization: ann.bearer, ...headers })).status;
    for (const host of ["localhost", "127.0.0.1", "[::1]:80"]) {
      assert.equal(await statusOf({ host }), 200, host);
    }
    for (const host of ["evil.test", "unix", "192.0.2.1"]) {
      assert.equal(await statusOf({ host }), 403, host);
    }
    assert.equal(await statusOf({ host: "localhost", origin: "http://localhost" }), 200);
    assert.equal(await statusOf({ host: "localhost", origin: "https://evil.test" }), 403);
    assert.equal(await statusOf({ host: "localhost", "sec-fetch-site": "cross-site" }), 403);
  }));

test("the socket file of a server that was killed is replaced", () =>
  withFiles(async (files) => {
    const script = `require("net").createServer().listen(${JSON.stringify(files.http)}, () => console.log("up"))`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "close");
    assert.ok((await lstat(files.http)).isSocket());
    const server = await start(listening(files));
    assert.equal((await get(files, "/ping")).status, 200);
    await server.close();
  }));

for (const name of ["grpc", "http"] as const) {
  test(`a socket file on which somebody listens stays theirs: ${name}`, () =>
    withFiles(async (files) => {
      const theirs = createServer((socket) => socket.on("error", () => {}));
      theirs.listen(files[name]);
      await once(theirs, "listening");
      try {
        const { ino } = await lstat(files[name]);
        await assert.rejects(start(listening(files)), {
          message: `LATCHKEY_${name.toUpperCase()} cannot listen on unix:${files[name]}: another process listens there`,
        });
        assert.equal((await lstat(files[name])).ino, ino);
      } finally {
        theirs.close();
      }
    }));

  test(`a file that is no socket is left alone: ${name}`, () =>
    withFiles(async (files) => {
      const kept = join(files.folder, "kept");
      await writeFile(kept, "kept");
      await symlink(kept, files[name]);
      const refused = { message: /a file is there that is no socket$/ };
      await assert.rejects(start(listening(files)), refused);
      await rm(files[name]);
      await writeFile(files[name], "kept");
      await assert.rejects(start(listening(files)), refused);
      assert.equal(await readFile(files[name], "utf8"), "kept");
    }));
}

test("one file cannot serve both listeners", () =>
  withFiles((files) =>
    assert.rejects(start(listening({ ...files, http: files.grpc })), {
      message: /^LATCHKEY_HTTP cannot listen on .*: another process listens there$/,
    }),
  ));
