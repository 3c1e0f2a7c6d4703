import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics } from "../../../src/telemetry/metrics.js";
import { WALLET } from "../../support/rke/fake-exchange.js";
import { openRest } from "../../support/transports/rest.js";
import { withServer } from "../../support/transports/server.js";

/** The lines of the metrics that begin so. */
const linesOf = (text: string, ...names: string[]) =>
  text.split("\n").filter((line) => names.some((name) => line.startsWith(`${name}{`)));

test("the metrics tell of places, exchanges, messages and bytes, and of no domain or key", () =>
  withServer("memory", async ({ http, exchange }) => {
    const rest = openRest(http);
    try {
      const get = async (path: string) => (await rest.call("GET", `/api/rke/${path}`)).text;
      const create = (domain: string) =>
        get(`session?domain=${domain}&wallet_path=${encodeURIComponent(WALLET)}`);
      const { session_id: id } = JSON.parse(await create("cs.example"));
      await create("cs.example");
      await create("too-few-shares.fails.example");
      const sealed = JSON.parse(await get(`encrypt?session_id=${id}&plaintext=aGVsbG8%3D`));
      const ciphertext = encodeURIComponent(sealed.ciphertext);
      await get(`decrypt?session_id=${id}&ciphertext=${ciphertext}&nonce=${sealed.nonce}`);
      const { text } = await rest.call("GET", "/metrics");
      assert.deepEqual(linesOf(text, "latchkey_rke_slots"), [
        'latchkey_rke_slots{use="session"} 2',
        'latchkey_rke_slots{use="exchange"} 0',
        'latchkey_rke_slots{use="free"} 14',
      ]);
      assert.match(text, /^latchkey_rke_cached_keys 1$/m);
      assert.deepEqual(linesOf(text, "latchkey_rke_exchange_seconds_count"), [
        'latchkey_rke_exchange_seconds_count{outcome="ok"} 1',
        'latchkey_rke_exchange_seconds_count{outcome="too_few_shares"} 1',
      ]);
      const work = linesOf(text, "latchkey_rke_messages_total", "latchkey_rke_bytes_total");
      assert.deepEqual(
        work.filter((line) => !line.endsWith(" 0")),
        [
          'latchkey_rke_messages_total{operation="encrypt",cipher="aes-256-ctr"} 1',
          'latchkey_rke_messages_total{operation="decrypt",cipher="aes-256-ctr"} 1',
          'latchkey_rke_bytes_total{operation="encrypt",cipher="aes-256-ctr"} 5',
          'latchkey_rke_bytes_total{operation="decrypt",cipher="aes-256-ctr"} 5',
        ],
      );
      const key = exchange.keyOf("cs.example");
      for (const secret of ["cs.example", id, key.toString("hex"), key.toString("base64")]) {
        assert.ok(!text.includes(secret), secret);
      }
    } finally {
      rest.close();
    }
  }));

test("shares and dropped datagrams are counted by RAIDA server", async () => {
  const { shareObserver, text } = createMetrics();
  shareObserver.onShare(3, "accepted");
  shareObserver.onShare(3, "accepted");
  shareObserver.onDropped(24, "wrong_source");
  const lines = linesOf(await text(), "latchkey_rke_shares_total");
  assert.deepEqual(lines, ['latchkey_rke_shares_total{raida="3",outcome="accepted"} 2']);
  assert.match(
    await text(),
    /^latchkey_rke_dropped_datagrams_total{raida="24",reason="wrong_source"} 1$/m,
  );
});
