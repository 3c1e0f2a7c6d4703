import { invalid } from "../../domain/error.js";
import { RAIDAS } from "../packet.js";

/** What a RAIDA server does instead of answering as it should. */
export interface Fault {
  readonly kind: FaultKind;
  /** Of what the kind counts; without a meaning for those that count nothing. */
  readonly amount: number;
}

/** What a kind counts, and how many there may be. */
interface Count {
  readonly of: string;
  readonly least: number;
  readonly most: number;
  readonly fallback: number;
}

interface FaultRow {
  readonly meaning: string;
  /** Null: it counts nothing. */
  readonly count: Count | null;
}

const bytes = { of: "bytes", least: 1, most: 65_000, fallback: 1 };

/** Every fault by its name on the command line; `--help` shows the same. */
export const FAULTS = {
  lose: { meaning: "no answer", count: null },
  delay: {
    meaning: "the answer comes late",
    count: { of: "milliseconds", least: 1, most: 600_000, fallback: 1_000 },
  },
  corrupt: { meaning: "one bit of the answer's body is flipped", count: null },
  forge: { meaning: "the answer is made with a wrong key", count: null },
  flood: {
    meaning: "the first answer of an exchange comes after that many forged ones",
    count: { of: "datagrams", least: 1, most: 1_000_000, fallback: 1_000 },
  },
  refuse: {
    meaning: "no share, but this status",
    count: { of: "status", least: 0, most: 249, fallback: 1 },
  },
  "wrong-echo": { meaning: "the answer echoes another request", count: null },
  "wrong-source": { meaning: "the answer comes from another port", count: null },
  replay: {
    meaning: "the answer to the first request comes to all others, and none to it",
    count: null,
  },
  "short-share": { meaning: "the share has only so many bytes", count: bytes },
  cut: { meaning: "the datagram lacks so many bytes at its end", count: bytes },
} as const satisfies Readonly<Record<string, FaultRow>>;

export type FaultKind = keyof typeof FAULTS;

/**
 * Faults by RAIDA number, of a list as `3=lose,7=delay:200`. Throws `invalid` with what a fault
 * may be.
 */
export function parseFaults(list: string): Map<number, Fault> {
  const faults = new Map<number, Fault>();
  for (const entry of list.split(",")) {
    const [, raida, text] = /^(\d{1,2})=(.+)$/.exec(entry.trim()) ?? [];
    if (raida === undefined || text === undefined || Number(raida) >= RAIDAS) {
      throw wrong(`has ${JSON.stringify(entry)}; it must be as 3=lose, for a RAIDA server 0 to 24`);
    }
    faults.set(Number(raida), parseFault(text));
  }
  return faults;
}

/** A fault such as `lose` or `delay:200`. Throws `invalid` with what it may be. */
export function parseFault(text: string): Fault {
  const [, name, amount] = /^([^:]+)(?::(\d{1,7}))?$/.exec(text) ?? [];
  const kind = FAULT_KINDS.find((one) => one === name);
  if (!kind)
    throw wrong(`has ${JSON.stringify(text)}; a fault is one of ${FAULT_KINDS.join(", ")}`);
  const { count } = FAULTS[kind];
  if (!count) {
    if (amount === undefined) return { kind, amount: 0 };
    throw wrong(`has ${JSON.stringify(text)}; ${kind} takes no number`);
  }
  const value = amount === undefined ? count.fallback : Number(amount);
  if (value >= count.least && value <= count.most) return { kind, amount: value };
  throw wrong(
    `has ${JSON.stringify(text)}; ${kind} takes ${count.least} to ${count.most} (${count.of})`,
  );
}

const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

const wrong = (message: string) => invalid("fault", "value", `--fault ${message}`);
