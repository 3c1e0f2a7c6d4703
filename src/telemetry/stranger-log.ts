import type { LineLog } from "../lib/line-log.js";
import { networkOf } from "../lib/network.js";
import { createSparseLog, type SparseLog } from "../lib/sparse-log.js";

export interface StrangerLogOptions {
  readonly logger: LineLog;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Receives the message of each line that was left out. */
  readonly onLeftOut: (msg: string) => void;
}

export type StrangerLog = ReturnType<typeof createStrangerLog>;

/**
 * Takes warnings that strangers cause, who could fill a disk with them. The first of an account, a
 * network and a reason is logged at once; more of the same are one line in a while, with `count`.
 * Lines that name an account are rated apart, so that a flood of others does not hold them up.
 */
export function createStrangerLog({ logger, clock, onLeftOut }: StrangerLogOptions) {
  const logs = new Map<string, SparseLog<object>>();

  const logOf = (msg: string, group: string): SparseLog<object> => {
    const known = logs.get(group);
    if (known) return known;
    const made = createSparseLog<object>({
      clock,
      emit: (_kind, fields, count, others) =>
        logger.warn({ ...fields, ...(count > 1 && { count }), ...(others > 0 && { others }) }, msg),
      onLeftOut: () => onLeftOut(msg),
    });
    logs.set(group, made);
    return made;
  };

  return {
    /** `account`, `address` and `reason` among the fields tell kinds apart. */
    warn(fields: object, msg: string): void {
      const { account, address, reason }: Fields = fields;
      const from = typeof address === "string" ? networkOf(hostOf(address)) : "";
      const isNamed = account !== undefined;
      logOf(msg, `${isNamed} ${msg}`).note(`${account} ${from} ${reason}`, fields);
    },

    /** To be called every second, and at the end. */
    flush(isEnd = false): void {
      for (const one of logs.values()) one.flush(isEnd);
    },
  };
}

interface Fields {
  readonly account?: unknown;
  readonly address?: unknown;
  readonly reason?: unknown;
}

/** The host of `host:port`; what has no port stays. */
function hostOf(address: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:]+)):\d+$/.exec(address) ?? [];
  return bracketed ?? plain ?? address;
}
