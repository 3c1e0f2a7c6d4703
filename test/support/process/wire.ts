import type { JsonObject } from "@bufbuild/protobuf";

/** What became of a call: done, no such session, or no answer: refused, or the connection broke. */
export type Outcome<T> = { readonly done: T } | "absent" | "unanswered";

/** The calls of the load, over one wire. An answer that is none of their outcomes rejects. */
export interface Wire {
  create(user: string, data: JsonObject): Promise<Outcome<{ readonly token: string }>>;
  /** Answers the data after the change. */
  update(token: string, data: JsonObject): Promise<Outcome<JsonObject>>;
  /** Counts as a read and restarts the idle time; answers the data. */
  read(token: string): Promise<Outcome<JsonObject>>;
  /** Answers the new token; the old one keeps working for minutes. */
  rotate(token: string): Promise<Outcome<{ readonly token: string }>>;
  delete(token: string): Promise<Outcome<unknown>>;
  /** Ends all sessions of the user. */
  deleteUser(user: string): Promise<Outcome<unknown>>;
  close(): void;
}

/** Of every session in these tests. */
export const APP = "shop";
export const IP = "192.0.2.1";

/** The outcome with another value. */
export function map<T, U>(outcome: Outcome<T>, change: (value: T) => U): Outcome<U> {
  return typeof outcome === "string" ? outcome : { done: change(outcome.done) };
}

/** What a call did; throws if it did nothing. */
export function done<T>(outcome: Outcome<T>): T {
  if (typeof outcome === "string") throw new Error(`the call is ${outcome}`);
  return outcome.done;
}
