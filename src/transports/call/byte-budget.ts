/** The most bytes that deflate makes of one. */
export const MOST_INFLATED = 1_032;

/** Bytes of requests that are not answered yet, of all callers, */
const MOST = 128 * 2 ** 20;
/** and of one: a burst of 5,000 sessions of 12 KiB each, which may wait for the disk. */
const MOST_OF_ONE = 64 * 2 ** 20;

/** What one request holds. */
export interface Charge {
  /** Counts more bytes; false if there is no room for them, and then they are not counted. */
  add(bytes: number): boolean;
  /** So many are held no more. */
  remove(bytes: number): void;
  /** Nothing is held any more; may be called again. */
  end(): void;
}

export interface ByteBudgetOptions {
  /** Bytes of all callers. */
  readonly most?: number;
  /** Bytes of one caller. */
  readonly mostOfOne?: number;
}

export type ByteBudget = ReturnType<typeof createByteBudget>;

/**
 * Counts the bytes of requests that are being received or answered, in sum and by their owners,
 * who are accounts, or connections where there are no accounts.
 */
export function createByteBudget(options: ByteBudgetOptions = {}) {
  const { most = MOST, mostOfOne = MOST_OF_ONE } = options;
  const byOwner = new Map<unknown, number>();
  let sum = 0;

  const change = (owner: unknown, bytes: number) => {
    sum += bytes;
    const rest = (byOwner.get(owner) ?? 0) + bytes;
    if (rest === 0) byOwner.delete(owner);
    else byOwner.set(owner, rest);
  };

  // A class, for every call has one: its methods are made once.
  class Held implements Charge {
    private held = 0;
    constructor(private readonly owner: unknown) {}

    add(bytes: number): boolean {
      const ofOne = byOwner.get(this.owner) ?? 0;
      if (sum + bytes > most || ofOne + bytes > mostOfOne) return false;
      change(this.owner, bytes);
      this.held += bytes;
      return true;
    }

    remove(bytes: number): void {
      const removed = Math.min(bytes, this.held);
      if (removed === 0) return;
      change(this.owner, -removed);
      this.held -= removed;
    }

    end(): void {
      this.remove(this.held);
    }
  }

  return {
    /** Begins a request of the owner; it holds nothing yet. */
    open: (owner: unknown): Charge => new Held(owner),

    /** Bytes that are held now. */
    held: () => sum,
  };
}
