import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { CipherName } from "../domain/rke/cipher.js";
import type { KeyringStats } from "../domain/rke/keyring.js";
import type { CipherOperation, RkeObserver } from "../services/rke/observer.js";

/** What was encrypted or decrypted by one cipher. */
interface Work {
  messages: number;
  bytes: number;
}

/** The metrics of RKE, in the registry given. */
export function createRkeMetrics(registry: Registry) {
  const registers = [registry];
  let stats: () => KeyringStats = () => ({ slots: 0, sessions: 0, reserved: 0, cachedKeys: 0 });
  const work: Readonly<Record<CipherOperation, Readonly<Record<CipherName, Work>>>> = {
    encrypt: newWork(),
    decrypt: newWork(),
  };

  const exchanges = new Histogram({
    name: "latchkey_rke_exchange_seconds",
    help: "Time that key exchanges took, by outcome; the count is the number of exchanges.",
    labelNames: ["outcome"],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  new Gauge({
    name: "latchkey_rke_slots",
    help: "Places for RKE sessions, by use: session, exchange (under way) or free.",
    labelNames: ["use"],
    registers,
    collect() {
      const { slots, sessions, reserved } = stats();
      this.set({ use: "session" }, sessions);
      this.set({ use: "exchange" }, reserved);
      this.set({ use: "free" }, slots - sessions - reserved);
    },
  });
  new Gauge({
    name: "latchkey_rke_cached_keys",
    help: "Keys kept for their domains.",
    registers,
    collect() {
      this.set(stats().cachedKeys);
    },
  });
  // Counted in plain numbers: the library looks labels up at every count.
  const count = (name: string, help: string, of: keyof Work) =>
    new Counter({
      name,
      help,
      labelNames: ["operation", "cipher"],
      registers,
      collect() {
        this.reset();
        for (const [operation, ciphers] of Object.entries(work)) {
          for (const [cipher, done] of Object.entries(ciphers)) {
            this.inc({ operation, cipher }, done[of]);
          }
        }
      },
    });
  count("latchkey_rke_messages_total", "Messages encrypted and decrypted.", "messages");
  count("latchkey_rke_bytes_total", "Bytes of their plaintexts.", "bytes");

  const shares = new Counter({
    name: "latchkey_rke_shares_total",
    help: "Key shares asked for in exchanges, by RAIDA server and outcome.",
    labelNames: ["raida", "outcome"],
    registers,
  });
  const dropped = new Counter({
    name: "latchkey_rke_dropped_datagrams_total",
    help: "Datagrams that were no answer to a share request, by RAIDA server and reason.",
    labelNames: ["raida", "reason"],
    registers,
  });

  const rkeObserver: RkeObserver = {
    exchanged: (outcome, seconds) => exchanges.observe({ outcome }, seconds),
    ciphered(operation, cipher, messages, bytes) {
      const done = work[operation][cipher];
      done.messages += messages;
      done.bytes += bytes;
    },
  };

  return {
    rkeObserver,
    /** Told by the key exchange of each share at its end, and of what it did not take. */
    shareObserver: {
      onShare: (raida: number, outcome: string) => shares.inc({ raida, outcome }),
      onDropped: (raida: number, reason: string) => dropped.inc({ raida, reason }),
    },
    /** Where the gauges of the keyring are read from whenever the metrics are asked for. */
    watchKeyring(source: () => KeyringStats) {
      stats = source;
    },
  };
}

function newWork(): Record<CipherName, Work> {
  return {
    "aes-256-gcm": { messages: 0, bytes: 0 },
    "aes-256-ctr": { messages: 0, bytes: 0 },
  };
}
