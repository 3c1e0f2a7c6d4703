import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { eventually } from "../../support/eventually.js";
import { dial } from "../../support/transports/command-client.js";
import { withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";

const MANY = 1_500;

interface Listed {
  readonly id: string;
  readonly idle: number;
  readonly d: { readonly n: number };
}

const listed = (text: string) => (JSON.parse(text) as { sessions: Listed[] }).sessions;

for (const store of STORES) {
  test(`more sessions than a page are listed part by part, whole and in order (${store})`, () =>
    withRest(store, async ({ rest, text, create, clock }) => {
      const tokens: string[] = [];
      for (let n = 0; n < MANY; n += 50) {
        clock.advance(SECOND);
        const some = Array.from({ length: 50 }, (_, i) => create("ann?ip=::1", { n: n + i }));
        tokens.push(...(await Promise.all(some)));
      }
      // Accessed again, the first of all are the latest.
      for (const token of tokens.slice(0, 3)) {
        clock.advance(SECOND);
        await text("GET", `/shop/get/${token}`);
      }
      const app = await rest.call("GET", "/shop/soapp?dt=6000");
      assert.equal(app.status, 200);
      assert.equal(app.headers["content-type"], "application/json; charset=utf-8");
      assert.equal(app.headers["content-length"], `${app.bytes.length}`);
      const byAccess = listed(app.text);
      const numbers = byAccess.map(({ d }) => d.n);
      assert.deepEqual(numbers.slice(0, 3), [2, 1, 0]);
      assert.deepEqual(
        numbers.toSorted((a, b) => a - b),
        Array.from({ length: MANY }, (_, n) => n),
      );
      const idle = byAccess.map((session) => session.idle);
      assert.deepEqual(
        idle,
        idle.toSorted((a, b) => a - b),
      );

      const sessions = listed((await rest.call("GET", "/shop/soid/ann")).text);
      assert.equal(sessions.length, MANY);
      const last = sessions.map(({ d }) => Math.floor(d.n / 50));
      assert.deepEqual(
        last,
        last.toSorted((a, b) => b - a),
      );
    }));
}

test("clients that read nothing hold up no other caller's long list, and none once they are gone", () =>
  withRest("memory", async ({ server, rest, create }) => {
    const large = "x".repeat(50_000);
    // More than the sockets' buffers hold on both sides.
    for (let n = 0; n < 400; n++) await create("ann?ip=::1", { n, large });
    const stalled = await Promise.all(Array.from({ length: 4 }, () => dial(server.http)));
    for (const socket of stalled) {
      socket.pause();
      socket.write("GET /shop/soid/ann HTTP/1.1\r\nhost: localhost\r\n\r\n");
    }
    await eventually("answers that begin", () => stalled.every(({ bytesRead }) => bytesRead > 0));
    let isDone = false;
    const third = rest.call("GET", "/shop/soid/ann").then(({ text, headers }) => {
      isDone = true;
      assert.equal(headers["transfer-encoding"], "chunked");
      return listed(text).length;
    });
    assert.equal((await rest.call("GET", "/ping")).status, 200);
    assert.equal(isDone, false);
    for (const socket of stalled) {
      socket.destroy();
      await once(socket, "close");
    }
    assert.equal(await third, 400);
  }));
