import { LatchkeyError } from "../../domain/error.js";

/**
 * Watches that may be open, each of which takes some 25 kB of memory: two accounts with as many as
 * one may have,
 */
const MOST = 20_480;
/** and one with a watch for each of 10,000 users: ten connections with all the streams of gRPC. */
const MOST_OF_ONE = 10_240;

export interface OpenWatchesOptions {
  readonly most?: number;
  readonly mostOfOne?: number;
}

/** Counts the watches that are open, of all and by owners: accounts, or addresses. */
export function createOpenWatches({ most = MOST, mostOfOne = MOST_OF_ONE }: OpenWatchesOptions) {
  const byOwner = new Map<string | number, number>();
  let sum = 0;

  const change = (owner: string | number, by: 1 | -1) => {
    sum += by;
    const count = (byOwner.get(owner) ?? 0) + by;
    if (count === 0) byOwner.delete(owner);
    else byOwner.set(owner, count);
  };

  return {
    count: () => sum,

    /** Counts one more; throws `limit` if there are as many as may be. Returns what ends it, which
     * may be called again. */
    enter(owner: string | number): () => void {
      if ((byOwner.get(owner) ?? 0) >= mostOfOne) throw tooManyOfOne(mostOfOne);
      if (sum >= most) throw tooMany(most);
      let isOpen = true;
      change(owner, 1);
      return () => {
        if (isOpen) change(owner, -1);
        isOpen = false;
      };
    },
  };
}

function tooManyOfOne(most: number): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `the account, or the address where there are no accounts, has ${most} watches open, the most it may have: end some, or watch whole apps`,
  );
}

function tooMany(most: number): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `the server has ${most} watches open, the most it may have: try again later`,
  );
}
