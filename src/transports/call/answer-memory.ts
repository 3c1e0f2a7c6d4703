import type { MaybePromise } from "../../lib/maybe-promise.js";

/** Bytes of answers that are made and not read yet, of all streams, */
const MOST = 32 * 2 ** 20;
/** and of those of one owner. */
const MOST_OF_ONE = 8 * 2 ** 20;

/** A stream's part of the memory. */
export interface MemoryPart {
  /** Holds so many bytes once there is room for them, or the part is closed. A part that holds some
   * already keeps to these. */
  reserve(bytes: number): MaybePromise<void>;
  /** Holds so many bytes from now on, whatever it held. */
  hold(bytes: number): void;
  /** Whether it gives way to those who wait: then it is told to, if that is of use. */
  yields(does: boolean): void;
  /** Is about to hold nothing, which counts when others are told to give way. */
  leave(): void;
  /** Holds nothing, and waits for nothing. May be called again. */
  close(): void;
}

export interface AnswerMemoryOptions {
  readonly most?: number;
  readonly mostOfOne?: number;
}

interface Owner {
  readonly name: string | number;
  /** Parts that are open. */
  parts: number;
  held: number;
  /** Of these, bytes of parts that leave. */
  leaving: number;
  /** What waits, by connection, the next first: so that one whose readers stall leaves turns to
   * others. */
  readonly waiting: Map<unknown, Set<Waiting>>;
  /** Parts that give way, the longest first. */
  readonly yielding: Set<() => void>;
}

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
}

export type AnswerMemory = ReturnType<typeof createAnswerMemory>;

/**
 * Memory that the streams of all callers share: bounded in sum and by owners, who are accounts, or
 * addresses where there are no accounts. Owners that wait take turns.
 */
export function createAnswerMemory(options: AnswerMemoryOptions = {}) {
  const { most = MOST, mostOfOne = MOST_OF_ONE } = options;
  const owners = new Map<string | number, Owner>();
  /** Owners of whom a part waits, the next first. */
  const queue = new Set<Owner>();
  let sum = 0;
  let leaving = 0;
  let yielding = 0;

  const enter = (name: string | number): Owner => {
    const owner = owners.get(name) ?? {
      ...{ name, parts: 0, held: 0, leaving: 0 },
      ...{ waiting: new Map<unknown, Set<Waiting>>(), yielding: new Set<() => void>() },
    };
    owners.set(name, owner);
    owner.parts++;
    return owner;
  };

  const fits = ({ held }: Owner, bytes: number) => sum + bytes <= most && held + bytes <= mostOfOne;

  const stopWaiting = (owner: Owner, connection: unknown, waiting: Waiting) => {
    const others = owner.waiting.get(connection);
    others?.delete(waiting);
    if (others?.size === 0) owner.waiting.delete(connection);
    if (owner.waiting.size === 0) queue.delete(owner);
  };

  /** Who waits for the memory of an owner, the next first. */
  const nextOf = (owner: Owner) => {
    const [[connection, waiting] = [undefined, new Set<Waiting>()]] = owner.waiting;
    const [first] = waiting;
    return first && { connection, waiting, first };
  };

  const admitOnce = (): boolean => {
    for (const owner of queue) {
      const next = nextOf(owner);
      if (!next || !fits(owner, next.first.bytes)) continue;
      const { connection, waiting, first } = next;
      stopWaiting(owner, connection, first);
      // To the end of their rows.
      if (owner.waiting.delete(connection)) owner.waiting.set(connection, waiting);
      if (queue.delete(owner)) queue.add(owner);
      first.admit();
      return true;
    }
    return false;
  };

  /** What is to give way for so many bytes of the owner: its own, or those of who holds most. */
  const inTheWay = (owner: Owner, bytes: number): (() => void) | undefined => {
    const staying = (one: Owner) => one.held - one.leaving;
    if (staying(owner) + bytes > mostOfOne) return [...owner.yielding][0];
    if (sum - leaving + bytes <= most) return undefined;
    const some = [...owners.values()].filter((one) => one.yielding.size > 0);
    const [fullest] = some.sort((a, b) => staying(b) - staying(a));
    return fullest && [...fullest.yielding][0];
  };

  /** Lets go on who can, and has give way what is in the way of others. */
  const settle = () => {
    if (queue.size === 0) return;
    while (admitOnce());
    for (const owner of queue) {
      let bytes = 0;
      for (const waiting of owner.waiting.values()) {
        for (const one of waiting) {
          if (yielding === 0) return;
          bytes += one.bytes;
          inTheWay(owner, bytes)?.();
        }
      }
    }
  };

  return {
    /** Bytes that are held now. */
    held: () => sum,

    /** Begins a part of the owner by a connection; `giveWay` is to have it closed soon. */
    open(name: string | number, connection: unknown, giveWay: () => void): MemoryPart {
      const owner = enter(name);
      let held = 0;
      let isLeaving = false;
      let isClosed = false;
      let giveUp = () => {};

      const change = (bytes: number) => {
        const more = bytes - held;
        held = bytes;
        owner.held += more;
        sum += more;
        if (isLeaving) owner.leaving += more;
        if (isLeaving) leaving += more;
        if (more < 0) settle();
      };
      const yields = (does: boolean) => {
        if (does === owner.yielding.has(giveWay)) return;
        if (does) owner.yielding.add(giveWay);
        else owner.yielding.delete(giveWay);
        yielding += does ? 1 : -1;
        if (does) settle();
      };

      return {
        hold: change,
        yields,
        reserve(bytes) {
          if (isClosed || held > 0) return;
          if (owner.waiting.size === 0 && fits(owner, bytes)) return change(bytes);
          return new Promise((resolve) => {
            const admit = () => {
              change(bytes);
              resolve();
            };
            const waiting = { bytes, admit };
            giveUp = () => {
              stopWaiting(owner, connection, waiting);
              resolve();
            };
            const others = owner.waiting.get(connection) ?? new Set();
            owner.waiting.set(connection, others.add(waiting));
            queue.add(owner);
            settle();
          });
        },
        leave() {
          if (isLeaving) return;
          isLeaving = true;
          owner.leaving += held;
          leaving += held;
          yields(false);
        },
        close() {
          if (isClosed) return;
          isClosed = true;
          yields(false);
          giveUp();
          change(0);
          if (--owner.parts === 0) owners.delete(name);
        },
      };
    },
  };
}
