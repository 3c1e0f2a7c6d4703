/** Real milliseconds after which what has not come about is taken to never do. */
const PATIENCE = 10_000;

/** Waits until `holds` answers true, and asks it again and again; rejects if it takes too long. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patience = PATIENCE,
): Promise<void> {
  const end = performance.now() + patience;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what} did not come about`);
    await new Promise(setImmediate);
  }
}
