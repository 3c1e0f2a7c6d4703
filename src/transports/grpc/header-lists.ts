import type { Http2Session, ServerHttp2Stream } from "node:http2";
import { overloaded } from "../../domain/error.js";
import { type ByteBudget, createByteBudget } from "../call/byte-budget.js";
import type { CallObserver } from "../call/calls.js";
import type { Place } from "../net/connection-places.js";
import { endStream, ignoreError } from "./http2/streams.js";
import { toStatus } from "./methods/unary.js";

/** Bytes of a call's header list that cost nothing: the call takes more than that by itself. */
const FREE = 1_024;

/** Bytes beyond those of the calls under way, of a connection and of all. */
const LIMITS = { mostOfOne: 2 * 2 ** 20, most: 8 * 2 ** 20 };

/** What an entry counts beside its name and value: RFC 9113, 6.5.2. */
const ENTRY = 32;

export interface HeaderListsOptions {
  /** Gets notice of calls that are refused for what their header lists take of memory. */
  readonly observer: Pick<CallObserver, "refused">;
  readonly limits?: typeof LIMITS;
}

export type HeaderLists = ReturnType<typeof createHeaderLists>;

/**
 * Bounds what the header lists of calls under way take of memory. By HPACK a byte names an entry of
 * the connection's table that has 4 KiB, so that lists may come nearly for nothing. Callers that are
 * known and strangers have a bound each, so that these do not take from those.
 */
export function createHeaderLists({ observer, limits = LIMITS }: HeaderListsOptions) {
  const known = createByteBudget(limits);
  const unknown = createByteBudget(limits);
  const places = new WeakMap<Http2Session, Place>();
  const overload = toStatus(overloaded());

  const take = (stream: ServerHttp2Stream, size: number): boolean => {
    const { session } = stream;
    const place = session && places.get(session);
    const budget: ByteBudget = place?.isSettled() ? known : unknown;
    const charge = budget.open(session);
    stream.on("error", ignoreError).once("close", () => charge.end());
    if (charge.add(size)) return true;
    observer.refused("grpc", "memory");
    endStream(stream, overload);
    return false;
  };

  return {
    /** Takes notice of a connection. */
    add(session: Http2Session, place: Place): void {
      places.set(session, place);
    },

    /** Returns whether a call may begin with a list of names and values; if not, it is ended. */
    admits(stream: ServerHttp2Stream, list: readonly string[]): boolean {
      let size = (list.length / 2) * ENTRY;
      for (const text of list) size += text.length;
      return size <= FREE || take(stream, size - FREE);
    },

    /** Bytes that are counted now. */
    held: () => known.held() + unknown.held(),
  };
}
