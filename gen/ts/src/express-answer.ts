/** Calls back with the outcome, outside of the promise, so that what the callback throws is not lost. */
export function answer<T>(
  outcome: Promise<T>,
  callback: (error: unknown, value?: T) => void = () => undefined,
  after: () => void = () => undefined,
): void {
  const call = (error: unknown, value?: T) => {
    try {
      callback(error, value);
    } finally {
      after();
    }
  };
  outcome.then(
    (value) => setImmediate(call, null, value),
    (error: unknown) => setImmediate(call, error),
  );
}
