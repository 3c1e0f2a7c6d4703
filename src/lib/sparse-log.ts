/** How often (ms) what happens again and again is logged. */
const LOG_INTERVAL = 10_000;

/** Kinds that are told apart; beyond them the one that was logged longest ago is forgotten. */
const MOST_KINDS = 1_000;

/** Lines of all kinds together: so many at once, and then so many a second. */
const BURST = 20;
const PER_SECOND = 5;

export interface SparseLogOptions<T> {
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /**
   * Writes a line for `count` of a kind, the latest among them. `others` are of kinds that were
   * forgotten before they had a line.
   */
  readonly emit: (kind: string, latest: T, count: number, others: number) => void;
  /** Called for each that has no line of its own. */
  readonly onLeftOut?: () => void;
}

export type SparseLog<T> = ReturnType<typeof createSparseLog<T>>;

interface Kind<T> {
  /** Since the last line. */
  count: number;
  latest: T;
  loggedAt: number;
}

/**
 * Logs the first of each kind, then at most one line in a while with how many there were. However
 * many kinds there are, lines are few: those beyond come when there is room.
 */
export function createSparseLog<T>({ clock, emit, onLeftOut = () => {} }: SparseLogOptions<T>) {
  /** The one that was logged longest ago first. */
  const kinds = new Map<string, Kind<T>>();
  let others = 0;
  let room = BURST;
  let filledAt = clock();

  const takeLine = (at: number): boolean => {
    room = Math.min(BURST, room + ((at - filledAt) * PER_SECOND) / 1_000);
    filledAt = at;
    if (room < 1) return false;
    room--;
    return true;
  };

  const write = (name: string, kind: Kind<T>, at: number) => {
    emit(name, kind.latest, kind.count, others);
    others = 0;
    kind.count = 0;
    kind.loggedAt = at;
    kinds.delete(name);
    kinds.set(name, kind);
  };

  const begin = (name: string, latest: T): Kind<T> => {
    const [oldest] = kinds;
    if (oldest && kinds.size >= MOST_KINDS) {
      others += oldest[1].count;
      kinds.delete(oldest[0]);
    }
    const kind = { count: 0, latest, loggedAt: Number.NEGATIVE_INFINITY };
    kinds.set(name, kind);
    return kind;
  };

  return {
    note(name: string, latest: T): void {
      const at = clock();
      const kind = kinds.get(name) ?? begin(name, latest);
      kind.count++;
      kind.latest = latest;
      if (at - kind.loggedAt >= LOG_INTERVAL && takeLine(at)) write(name, kind, at);
      else onLeftOut();
    },

    /** Logs what was counted and is due; at the end, as far as there is room, what is not. */
    flush(isEnd = false): void {
      const at = clock();
      for (const [name, kind] of kinds) {
        const isDue = at - kind.loggedAt >= LOG_INTERVAL;
        if (kind.count === 0) {
          if (isDue) kinds.delete(name);
        } else if (isDue || isEnd) {
          if (!takeLine(at)) return;
          write(name, kind, at);
        }
      }
    },
  };
}
