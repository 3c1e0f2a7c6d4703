import { LRUCache } from "lru-cache";

/** So many failures (`burst`) at once, and from then on one in every `interval` (ms). */
export interface Pace {
  readonly burst: number;
  readonly interval: number;
}

export type Meter = ReturnType<typeof createMeter>;

/**
 * Meters failures by key: each adds one, and one leaves in every interval; none holds more than the
 * burst. At most `max` keys are remembered, the longest unused forgotten first.
 */
export function createMeter({ burst, interval }: Pace, max: number) {
  /** When a meter will be empty. One that is not here is. */
  const emptyAt = new LRUCache<string, number>({ max });
  const from = (key: string, now: number) => Math.max(now, emptyAt.get(key) ?? now);

  return {
    /** Milliseconds until there is room for one more; 0 or less if there is. */
    wait: (key: string, now: number) => from(key, now) - now - (burst - 1) * interval,
    add(key: string, now: number) {
      emptyAt.set(key, Math.min(from(key, now) + interval, now + burst * interval));
    },
    remove(key: string, now: number) {
      const at = emptyAt.get(key);
      if (at === undefined) return;
      // Attempts that cost nothing take no memory either, or they would drive out those that do.
      if (at - interval > now) emptyAt.set(key, at - interval);
      else emptyAt.delete(key);
    },
    /** Keys that are remembered. */
    size: () => emptyAt.size,
  };
}
