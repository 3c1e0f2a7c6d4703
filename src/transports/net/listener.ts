import type { SecureContextOptions } from "node:tls";

/** A wire that is being served. */
export interface Listener {
  /** Where it listens: `host:port`, the port as bound, or `unix:PATH`. */
  readonly address: string;
  /** The certificates of connections to come; without TLS it does nothing. */
  reloadTls(tls: SecureContextOptions): void;
  /** Says of itself that it stops serving, and goes on serving. */
  drain(): void;
  /** Accepts no more, lets accepted calls finish for at most `grace` ms, cuts the rest. */
  close(grace: number): Promise<void>;
}

/** What may be called without credentials where authentication is required. */
export type PublicPart = "health" | "reflection" | "metrics";
export type IsPublic = (part: PublicPart) => boolean;
