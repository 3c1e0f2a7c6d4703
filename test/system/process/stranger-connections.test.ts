import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { readOpenFiles } from "../../../src/config/open-files.js";
import { makeFolder, runLatchkey, startServer } from "../../support/process/server.js";

const STRANGERS = 10_000;
/** Connections that a stranger makes at a time. */
const AT_A_TIME = 100;
/** The most connections of one address, by default. */
const MOST = 4_096;

const GET = "/latchkey.session.v1.SessionService/GetSession";
const same = (bytes: Buffer) => bytes;

/** What a stranger says on each of its connections. */
const WORDS = {
  "say nothing": { grpc: "", http: "" },
  "call without credentials": {
    grpc: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    http: "GET /session HTTP/1.1\r\nhost: localhost\r\n\r\n",
  },
} as const;

const files = readOpenFiles();
const skip = files < 2 * MOST ? `this process may have ${files} files open` : false;

for (const [what, words] of Object.entries(WORDS)) {
  test(`${STRANGERS} connections that ${what} keep no caller out`, { skip }, async (t) => {
    const env = {
      LATCHKEY_AUTH: "required",
      LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}`,
    };
    await runLatchkey(t, ["account", "add", "ann", "--apps", "shop"], env);
    const added = await runLatchkey(t, ["account", "key", "add", "ann", "--label", "test"], env);
    const authorization = `Bearer ${added.stdout.trim()}`;
    const server = await startServer(t, env);

    const metadata = new Metadata();
    metadata.set("authorization", authorization);
    const callBy = (client: Client) =>
      new Promise<void>((resolve, reject) => {
        // A call whose token is missing is refused for that once its caller is known.
        client.makeUnaryRequest(GET, same, same, Buffer.alloc(0), metadata, (error) =>
          error?.code === status.INVALID_ARGUMENT ? resolve() : reject(error),
        );
      });
    const call = async () => {
      const options = { "grpc.use_local_subchannel_pool": 1 };
      const client = new Client(server.grpc, credentials.createInsecure(), options);
      await callBy(client).finally(() => client.close());
    };
    const ask = async (path: string) => {
      const headers = { authorization, connection: "close" };
      const answer = await fetch(`http://${server.http}${path}`, { headers });
      assert.equal(answer.status, 200, path);
      return answer.text();
    };
    // Its connection is open all the while.
    const early = new Client(server.grpc, credentials.createInsecure());
    t.after(() => early.close());
    await callBy(early);

    const sockets = new Set<Socket>();
    t.after(() => {
      for (const socket of sockets) socket.destroy();
    });
    const stranger = (listener: "grpc" | "http") =>
      new Promise<void>((resolve) => {
        const [host = "", port] = server[listener].split(":");
        const socket = connect(Number(port), host, () => {
          socket.write(words[listener]);
          resolve();
        });
        sockets.add(socket.resume().on("error", () => {}));
        socket.on("close", () => {
          sockets.delete(socket);
          resolve();
        });
      });
    for (let made = 0; made < STRANGERS; made += AT_A_TIME) {
      const crowd = Array.from({ length: AT_A_TIME }, (_, at) =>
        stranger(at % 2 === 0 ? "grpc" : "http"),
      );
      await Promise.all([...crowd, ...(made % 1_000 === 0 ? [call(), ask("/session")] : [])]);
    }
    await Promise.all([call(), callBy(early), ask("/session"), ask("/livez")]);

    const open = [...(await ask("/metrics")).matchAll(/^latchkey_connections{.*} (\d+)$/gm)];
    const sum = open.reduce((all, [, count]) => all + Number(count), 0);
    assert.ok(sum > 0 && sum <= MOST, `${sum} connections are open`);
    // A crowd is a line for each listener and limit, at most every 10 s.
    const lines = server.log().filter(({ msg }) => msg === "a limit of connections was met");
    assert.ok(lines.length >= 1 && lines.length <= 20, `it logged ${lines.length} lines`);
  });
}
