/** A call and when it was made and answered, by a clock that all callers share. */
export interface Call<O> {
  readonly operation: O;
  readonly made: number;
  /** Infinity: it has no answer, and may have been carried out at any time since, or not at all. */
  readonly answered: number;
}

/** What one object does, one operation at a time. */
export interface Specification<S, O> {
  readonly initial: S;
  /**
   * The state after an operation that was answered as it says; undefined if it could not have
   * been. Without an answer, only what it does counts. States that are equal must be so as JSON.
   */
  readonly apply: (state: S, operation: O, isAnswered: boolean) => S | undefined;
}

/**
 * Whether there is an order of the calls, each at an instant between its making and its answer,
 * in which the object answers as it did. By the search of Wing and Gong, which does not look
 * twice at what follows the same calls and the same state (as Lowe's does).
 */
export function isLinearizable<S, O>(
  calls: readonly Call<O>[],
  { initial, apply }: Specification<S, O>,
): boolean {
  // The last to be pushed is looked at first: what was answered first is the likeliest to be next.
  const all = [...calls].sort((a, b) => compare(b.answered, a.answered));
  const seen = new Set<string>();
  /** Calls that were carried out, as bits, and the state that they led to. */
  const stack: { readonly done: bigint; readonly state: S }[] = [{ done: 0n, state: initial }];
  for (let here = stack.pop(); here; here = stack.pop()) {
    const { done, state } = here;
    const left = all.flatMap((call, index) =>
      (done >> BigInt(index)) & 1n ? [] : [{ ...call, bit: 1n << BigInt(index) }],
    );
    if (left.every(({ answered }) => answered === Number.POSITIVE_INFINITY)) return true;
    // None can be next that was made after another was answered.
    const firstAnswer = Math.min(...left.map(({ answered }) => answered));
    for (const { operation, made, answered, bit } of left) {
      if (made > firstAnswer) continue;
      const after = apply(state, operation, answered !== Number.POSITIVE_INFINITY);
      if (after === undefined) continue;
      const next = { done: done | bit, state: after };
      const key = `${next.done} ${JSON.stringify(after)}`;
      if (seen.has(key)) continue;
      seen.add(key);
      stack.push(next);
    }
  }
  return false;
}

/** Also of infinities, whose difference is no number. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
