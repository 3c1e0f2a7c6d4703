import type { Express, Request } from "express";
import type { Session, SessionOptions } from "express-session";
import type { App, Browser } from "./app.js";
import type { StoreName } from "./stores.js";

/** What the apps of the cases put into sessions. */
export interface Content {
  userId?: string;
  n?: number;
  cart?: unknown[];
  deep?: { a: { b: number[] } };
  views?: Record<string, number>;
  [key: string]: unknown;
}

/** The request's session; null once an app has unset it. */
export const sessionOf = (req: Request) => req.session as unknown as Session & Content;

export interface Case {
  /** States the behaviour. */
  readonly title: string;
  /** Beside those that every app has; see app.ts. */
  readonly options?: Partial<SessionOptions>;
  /** Middleware before the session's. */
  before?(app: Express, opened: App): void;
  /** The app's routes, after the session's middleware. */
  routes?(app: Express, opened: App): void;
  /** What the visitors do; answers with the outcome. */
  visit(browser: Browser, opened: App): Promise<unknown>;
  readonly expected: unknown;
  /** Stores with another outcome, and why; docs/clients.md lists those of LatchkeyStore. */
  readonly differs?: Partial<Record<StoreName, Difference>>;
}

export interface Difference {
  readonly reason: string;
  readonly expected: unknown;
}

export const expectedOf = ({ expected, differs }: Case, store: StoreName): unknown => {
  const difference = differs?.[store];
  return difference ? difference.expected : expected;
};
