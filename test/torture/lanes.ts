/** Does `work` for 1 up to `count`, in so many lanes at once, until one rejects. */
export async function inLanes(
  count: number,
  lanes: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 1;
  const runLane = async () => {
    while (next <= count) await work(next++);
  };
  try {
    await Promise.all(Array.from({ length: lanes }, runLane));
  } finally {
    next = count + 1;
  }
}
