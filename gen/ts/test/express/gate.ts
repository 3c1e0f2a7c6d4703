/** Holds requests until `open` is called, and says when the first of them has come. */
export function createGate() {
  let open: () => void = () => undefined;
  let come: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    come = resolve;
  });
  return {
    open,
    /** Settles when a request waits. */
    reached,
    wait(): Promise<void> {
      come();
      return opened;
    },
  };
}
