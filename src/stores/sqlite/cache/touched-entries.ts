import type { Entry } from "./entry.js";

/**
 * The entries with touches that the file does not have. They are chained to each other, so that
 * to add one, which most reads do, makes nothing that is to be collected: half of what died old in
 * a server of reads was the tables of a map of these (`bench -- upkeep`).
 */
export function createTouchedEntries() {
  let first: Entry | null = null;
  let size = 0;

  return {
    size: (): number => size,

    /** Answers whether it was none of them. */
    add(entry: Entry): boolean {
      if (entry.isTouched) return false;
      entry.isTouched = true;
      size++;
      if (!entry.isInChain) {
        entry.isInChain = true;
        entry.next = first;
        first = entry;
      }
      return true;
    },

    /** Answers whether it was one of them. It leaves the chain when that is gone through next. */
    remove(entry: Entry): boolean {
      if (!entry.isTouched) return false;
      entry.isTouched = false;
      size--;
      return true;
    },

    /** All of them, in no order. */
    all(): Entry[] {
      const entries = new Array<Entry>(size);
      let count = 0;
      let chain: Entry | null = null;
      for (let entry = first; entry; ) {
        const { next }: Entry = entry;
        entry.isInChain = entry.isTouched;
        entry.next = entry.isTouched ? chain : null;
        if (entry.isTouched) {
          entries[count++] = entry;
          chain = entry;
        }
        entry = next;
      }
      first = chain;
      return entries;
    },
  };
}
