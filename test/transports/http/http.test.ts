import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { LatchkeyError } from "../../../src/domain/error.js";
import type { SessionStore } from "../../../src/domain/sessions/session-store.js";
import { createMemoryStore } from "../../../src/stores/memory/store.js";
import { withListeners } from "../../support/transports/listeners.js";
import { openRest, type Rest } from "../../support/transports/rest.js";
import { withRest } from "../../support/transports/rest-trial.js";

const JSON_TYPE = "application/json; charset=utf-8";

/** Runs `body` with a client of an HTTP listener over `store`. */
async function withHttp(
  store: SessionStore,
  body: (rest: Rest, drain: () => void) => Promise<void>,
): Promise<void> {
  await withListeners({ store }, async ({ http, listeners }) => {
    const rest = openRest(http);
    try {
      await body(rest, () => {
        for (const listener of listeners) listener.drain();
      });
    } finally {
      rest.close();
    }
  });
}

const memoryStore = () => createMemoryStore({ swept: () => {} });
const storeOf = (ping: SessionStore["ping"]): SessionStore => ({ ...memoryStore(), ping });

test("a server that serves is alive and ready", () =>
  withHttp(memoryStore(), async (rest) => {
    const alive = await rest.call("GET", "/livez");
    assert.deepEqual([alive.status, alive.text], [200, '{"status":"alive"}']);
    const ready = await rest.call("GET", "/readyz");
    assert.deepEqual([ready.status, ready.text], [200, '{"status":"ready"}']);
    assert.equal(ready.headers["content-type"], JSON_TYPE);
  }));

test("a server that drains is alive, not ready, and serves on", () =>
  withHttp(memoryStore(), async (rest, drain) => {
    drain();
    const ready = await rest.call("GET", "/readyz");
    assert.equal(ready.status, 503);
    assert.deepEqual(JSON.parse(ready.text), {
      status: "not ready",
      reason: "the server is stopping",
    });
    assert.equal((await rest.call("GET", "/livez")).status, 200);
    assert.equal((await rest.call("PUT", "/shop/create/ann?ip=::1")).status, 200);
  }));

test("a server whose store cannot serve is alive, not ready, and says why", () =>
  withHttp(
    storeOf(() => Promise.reject(new LatchkeyError("unavailable", "the disk failed"))),
    async (rest) => {
      const ready = await rest.call("GET", "/readyz");
      assert.equal(ready.status, 503);
      assert.deepEqual(JSON.parse(ready.text), { status: "not ready", reason: "the disk failed" });
      assert.equal((await rest.call("GET", "/livez")).status, 200);
      const ping = await rest.call("GET", "/ping");
      assert.equal(ping.status, 503);
      assert.equal(ping.text, '{"name":"unavailable","message":"the disk failed"}');
    },
  ));

test("a server that is not ready does not show the inside of a fault", () =>
  withHttp(
    storeOf(() => Promise.reject(new Error("inside /var/lib"))),
    async (rest) => {
      const ready = await rest.call("GET", "/readyz");
      assert.equal(ready.status, 503);
      assert.deepEqual(JSON.parse(ready.text), {
        status: "not ready",
        reason: "internal server error",
      });
    },
  ));

/** A store whose ping is held until it is released. */
function holdingStore() {
  let release: () => void = () => {};
  let arrive: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const ping = async () => {
    arrive();
    await new Promise<void>((resolve) => {
      release = resolve;
    });
  };
  return { store: storeOf(ping), held, release: () => release() };
}

test("a call that was accepted finishes while the listener closes, and no new one begins", async () => {
  const { store, held, release } = holdingStore();
  await withListeners({ store }, async ({ http, listeners }) => {
    const [rest, late] = [openRest(http), openRest(http)];
    try {
      const call = rest.call("GET", "/ping");
      await held;
      const closed = listeners[1]?.close(60_000);
      await assert.rejects(late.call("GET", "/livez"));
      release();
      assert.equal((await call).text, "PONG");
      rest.close();
      await closed;
    } finally {
      rest.close();
      late.close();
    }
  });
});

test("a listener that closes does not wait for connections that are kept alive", async () => {
  const { store, held, release } = holdingStore();
  await withListeners({ store }, async ({ http, listeners }) => {
    const [rest, late] = [openRest(http), openRest(http)];
    try {
      const call = rest.call("GET", "/ping");
      await held;
      const closed = listeners[1]?.close(60_000).then(() => "closed");
      // The listener is shut and idle connections are closed; this one was not idle.
      await assert.rejects(late.call("GET", "/livez"));
      await assert.rejects(late.call("GET", "/livez"), { code: "ECONNREFUSED" });
      release();
      assert.equal((await call).text, "PONG");
      const patience = setTimeout(5_000, "open", { ref: false });
      assert.equal(await Promise.race([closed, patience]), "closed");
    } finally {
      late.close();
      rest.close();
    }
  });
});

interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly parameters?: readonly { name: string; in: string; required?: boolean }[];
  readonly requestBody?: { required?: boolean };
  readonly responses: Readonly<Record<string, unknown>>;
}

test("the OpenAPI description has the reproduced endpoints, their parameters, and nothing else", () =>
  withRest("memory", async ({ rest }) => {
    const answer = await rest.call("GET", "/openapi.json");
    assert.equal(answer.headers["content-type"], JSON_TYPE);
    const { openapi, info, paths } = JSON.parse(answer.text) as OpenApi;
    assert.equal(openapi, "3.1.0");
    assert.equal(info.version, "0.0.0-test");
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, { parameters = [], requestBody, responses }]) => {
        assert.ok(responses["200"], path);
        const names = parameters.map((one) => `${one.name}${one.required ? "" : "?"}`).sort();
        const body = requestBody ? [`body${requestBody.required ? "" : "?"}`] : [];
        return [method.toUpperCase(), path, ...names, ...body].join(" ");
      }),
    );
    assert.deepEqual(described.sort(), [
      "DELETE /{app}/kill/{token} app token",
      "DELETE /{app}/killall app",
      "DELETE /{app}/killsoid/{id} app id",
      "GET /api/rke/decrypt ciphertext nonce session_id",
      "GET /api/rke/discover domain",
      "GET /api/rke/encrypt plaintext session_id",
      "GET /api/rke/session domain wallet_path",
      "GET /api/rke/session/delete session_id",
      "GET /api/rke/sessions",
      "GET /ping",
      "GET /{app}/activity app dt",
      "GET /{app}/get/{token} app token",
      "GET /{app}/soapp app dt",
      "GET /{app}/soid/{id} app id",
      "POST /api/rke/decrypt body",
      "POST /api/rke/discover body",
      "POST /api/rke/encrypt body",
      "POST /api/rke/session body",
      "POST /api/rke/session/delete body",
      "POST /api/rke/sessions",
      "POST /{app}/set/{token} app token body",
      "PUT /{app}/create/{id} app id ip no_resave? ttl? body?",
    ]);
  }));
