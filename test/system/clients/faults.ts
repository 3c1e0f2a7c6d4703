import { ExchangeError, type KeyExchange } from "../../../src/domain/rke/key-exchange.js";

/**
 * A key exchange that fails for some domains as their names say, and is `exchange` for others:
 *
 * - `fail-N-….test`: the first N calls with this very name fail as if DNS did not answer; from then
 *   on it is `domain`. With it a caller sees how often it was called.
 * - `slow.test`: no call is ever answered.
 * - `fault.test`: every call fails in a way that the server does not know.
 */
export function withFaults(exchange: KeyExchange, domain: string): KeyExchange {
  const calls = new Map<string, number>();
  const enter = async (name: string): Promise<string> => {
    if (name === "slow.test") await new Promise(() => undefined);
    if (name === "fault.test") throw new Error("inside of the server");
    const limit = /^fail-(\d+)-.*\.test$/.exec(name)?.[1];
    if (limit === undefined) return name;
    const count = (calls.get(name) ?? 0) + 1;
    calls.set(name, count);
    if (count <= Number(limit)) throw new ExchangeError("dns_failed", "DNS does not answer");
    return domain;
  };
  return {
    discover: async (name) => exchange.discover(await enter(name)),
    exchange: async (name, walletPath, key) =>
      exchange.exchange(await enter(name), walletPath, key),
  };
}
