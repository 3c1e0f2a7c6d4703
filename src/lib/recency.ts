/** Bytes of an id. */
const ID = 16;

/** Sessions' ids in the order of their last access, in 24 bytes each. */
interface Run {
  readonly instants: Float64Array;
  readonly ids: Buffer;
  /** How many are taken. */
  at: number;
}

const instantOf = ({ instants, at }: Run): number => instants[at] ?? Number.NEGATIVE_INFINITY;

/**
 * Orders sessions by their last access, the latest first, those of one instant as they were added,
 * while little of each is in memory: what is added is sorted for itself, and merged as it is taken.
 */
export function createRecencyOrder() {
  const runs: Run[] = [];
  return {
    /** Adds sessions by their ids, UUIDs; to be called before `ids`. Takes n log n time. */
    add(sessions: readonly { readonly id: string; readonly lastAccessedAt: number }[]): void {
      if (sessions.length === 0) return;
      const sorted = sessions.toSorted((a, b) => b.lastAccessedAt - a.lastAccessedAt);
      const ids = Buffer.alloc(sorted.length * ID);
      for (const [index, { id }] of sorted.entries()) {
        ids.write(id.replaceAll("-", ""), index * ID, "hex");
      }
      const instants = Float64Array.from(sorted, ({ lastAccessedAt }) => lastAccessedAt);
      runs.push({ instants, ids, at: 0 });
    },

    /** All ids in order, once; each takes time by the logarithm of how often `add` was called. */
    *ids(): Generator<string> {
      const heap: number[] = [];
      /** Whether what the first run has next comes before what the second has. */
      const isFirst = (one: number, other: number): boolean => {
        const [a, b] = [runs[one], runs[other]];
        if (!a || !b) return false;
        const difference = instantOf(a) - instantOf(b);
        return difference === 0 ? one < other : difference > 0;
      };
      const swap = (one: number, other: number) => {
        const kept = heap[one] ?? 0;
        heap[one] = heap[other] ?? 0;
        heap[other] = kept;
      };
      const sink = (from: number) => {
        for (let at = from; ; ) {
          let best = at;
          for (const child of [2 * at + 1, 2 * at + 2]) {
            if (child < heap.length && isFirst(heap[child] ?? 0, heap[best] ?? 0)) best = child;
          }
          if (best === at) return;
          swap(at, best);
          at = best;
        }
      };
      for (const index of runs.keys()) heap.push(index);
      for (let at = heap.length >> 1; at >= 0; at--) sink(at);
      while (heap.length > 0) {
        const run = runs[heap[0] ?? 0];
        if (!run) return;
        const hex = run.ids.toString("hex", run.at * ID, (run.at + 1) * ID);
        run.at++;
        if (run.at === run.instants.length) {
          swap(0, heap.length - 1);
          heap.pop();
        }
        sink(0);
        yield uuidOf(hex);
      }
    },
  };
}

function uuidOf(hex: string): string {
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return [...parts, hex.slice(20)].join("-");
}
