import { hash } from "node:crypto";

/**
 * Sessions that `fill.ts` made, known by their numbers from 0: what names one follows from its
 * number, so that ten million of them need no list of tokens.
 */
export interface Population {
  /** Begins the names of its apps; 1 to 12 characters of `[A-Za-z0-9_-]`. */
  readonly name: string;
  readonly count: number;
  readonly apps: number;
}

const SESSIONS_PER_USER = 4;

/** Sessions that a server was asked to create, by the tokens that it answered. */
export interface Prepared {
  readonly app: string;
  readonly tokens: readonly string[];
}

/** A user's sessions are created far apart, as by logins, and so are those of one app. */
function userOf({ count }: Population, n: number): number {
  return n % Math.ceil(count / SESSIONS_PER_USER);
}

export function appOf(population: Population | Prepared, n: number): string {
  if ("tokens" in population) return population.app;
  return `${population.name}-${userOf(population, n) % population.apps}`;
}

/** In no order, as the names of users come. */
export function userIdOf(population: Population, n: number): string {
  return `user-${hash("sha256", `${population.name} user ${userOf(population, n)}`).slice(0, 12)}`;
}

/** Of a population, 64 hexadecimal digits: a token by its form, though not by its secrecy. */
export function tokenOf(population: Population | Prepared, n: number): string {
  if ("tokens" in population) return population.tokens[n] ?? "";
  return hash("sha256", `${population.name} ${n}`);
}
