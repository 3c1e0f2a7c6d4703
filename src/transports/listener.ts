/** A wire that is being served. */
export interface Listener {
  /** Where it listens, `host:port`, the port as bound. */
  readonly address: string;
  /** Says of itself that it stops serving, and goes on serving. */
  drain(): void;
  /** Accepts no more, lets accepted calls finish for at most `grace` ms, cuts the rest. */
  close(grace: number): Promise<void>;
}
