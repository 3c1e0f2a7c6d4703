export type ConnectionAges = ReturnType<typeof createConnectionAges>;

export interface ConnectionAgeOptions {
  /** Milliseconds; null: any age. */
  readonly maxAge: number | null;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * Knows which connections have lived for long enough: each for a tenth more or less than the limit,
 * as grpc-js has it, so that those that began together do not end together.
 */
export function createConnectionAges({ maxAge, clock, random }: ConnectionAgeOptions) {
  const ends = new WeakMap<object, number>();
  return {
    /** Takes notice of a connection that begins. */
    add(socket: object): void {
      if (maxAge !== null) ends.set(socket, clock() + maxAge * (0.9 + random() * 0.2));
    },

    /** Whether the connection should be made anew. */
    isOver: (socket: object): boolean =>
      maxAge !== null && clock() >= (ends.get(socket) ?? Number.POSITIVE_INFINITY),
  };
}
