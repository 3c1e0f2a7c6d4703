import assert from "node:assert/strict";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder, runLatchkey, startServer } from "../../support/process/server.js";

/** Bytes of log that a stranger may cause at once, and then in a second. */
const AT_ONCE = 50_000;
const PER_SECOND = 10_000;

/** Requests of each connection that come together. */
const TOGETHER = 100;

const basic = (password: string) => Buffer.from(`ann:${password}`).toString("base64");

/** What a stranger sends on a connection, by the headers of each request; and how many. */
const FLOODS: readonly (readonly [requests: number, headers: (at: number) => string])[] = [
  [5_000, () => "host: localhost\r\n"],
  [5_000, (at) => `host: ${"x".repeat(90)}${at}\r\norigin: ${'"'.repeat(200)}\r\n`],
  [5_000, (at) => `host: localhost\r\nauthorization: Bearer lk_${at}\r\n`],
  // Each costs a check of the password.
  [100, (at) => `host: localhost\r\nauthorization: Basic ${basic(`wrong ${at}`)}\r\n`],
];

/** Sends requests, each as a proxy forwards it for another address; settles when all are answered. */
function flood(address: string, requests: number, headers: (at: number) => string) {
  const [host = "", port] = address.split(":");
  return new Promise<void>((resolve, reject) => {
    let sent = 0;
    let answered = 0;
    const socket = connect(Number(port), host);
    const send = () => {
      for (const end = Math.min(requests, sent + TOGETHER); sent < end; sent++) {
        const from = `x-forwarded-for: 198.18.${sent >> 8}.${sent & 255}\r\n`;
        socket.write(`GET /session HTTP/1.1\r\n${headers(sent)}${from}\r\n`);
      }
    };
    let tail = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      const parts = (tail + text).split("HTTP/1.1 ");
      answered += parts.length - 1;
      tail = (parts.at(-1) ?? "").slice(-8);
      if (answered < sent) return;
      if (sent < requests) return send();
      socket.destroy();
      resolve();
    });
    socket.once("connect", send).once("error", reject);
    socket.once("close", () => reject(new Error(`${answered} of ${sent} were answered`)));
  });
}

test("a stranger with four connections fills no disk by the log", async (t) => {
  const env = {
    LATCHKEY_AUTH: "required",
    LATCHKEY_PUBLIC: "health,metrics",
    LATCHKEY_TRUSTED_PROXIES: "127.0.0.0/8",
    LATCHKEY_STORE: `sqlite:${join(await makeFolder(t), "latchkey.db")}`,
  };
  await runLatchkey(t, ["account", "add", "ann", "--apps", "shop"], env);
  const server = await startServer(t, env);
  const bytesBefore = server.output.stdout.length;
  const start = performance.now();
  await Promise.all(FLOODS.map(([requests, headers]) => flood(server.http, requests, headers)));
  const metrics = await (await fetch(`http://${server.http}/metrics`)).text();
  const leftOut = [...metrics.matchAll(/^latchkey_log_left_out_total{msg="(.*)"} (\d+)$/gm)];
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  const seconds = (performance.now() - start) / 1_000;
  const bytes = server.output.stdout.length - bytesBefore;
  t.diagnostic(`${bytes} bytes in ${seconds.toFixed(1)} s`);
  assert.ok(bytes < AT_ONCE + PER_SECOND * seconds, `${bytes} bytes in ${seconds.toFixed(1)} s`);

  const isOfAnn = server.log().filter(({ account }) => account === "ann");
  assert.ok(isOfAnn.length >= 20, "failures of an account were logged among all others");
  const kinds = leftOut.map(([, msg, count]) => [msg, Number(count) > 1_000]);
  assert.deepEqual(Object.fromEntries(kinds), {
    "authentication failed": true,
    "request refused": true,
  });
});
