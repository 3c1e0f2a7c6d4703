/** What a server uses at a moment. */
export interface Sample {
  /** Since the load began. */
  readonly seconds: number;
  /** MiB: resident, of JavaScript's heap, of the write-ahead log. */
  readonly rss: number;
  readonly heap: number;
  readonly log: number;
  /** Open files and connections. */
  readonly descriptors: number;
}

/**
 * By how much each may grow over the part that is judged, in which the collector's teeth and,
 * in a short run, its warming up must fit. In 30 minutes of 2,000 calls a second, 64 MiB are
 * 28 bytes a call.
 */
const MOST = { rss: 64, heap: 48, descriptors: 4, log: 16 } as const;

/**
 * Whether what a server uses stays flat after its first third, in which caches fill: by the
 * straight line that fits the samples best, it may grow no more than `MOST` in that time.
 */
export function flatness(samples: readonly Sample[]): {
  readonly lines: readonly string[];
  readonly grown: readonly string[];
} {
  const judged = samples.slice(Math.floor(samples.length / 3));
  const first = judged[0]?.seconds ?? 0;
  const seconds = (judged.at(-1)?.seconds ?? 0) - first;
  const lines: string[] = [];
  const grown: string[] = [];
  for (const name of ["rss", "heap", "descriptors", "log"] as const) {
    const points = judged.map((sample) => [sample.seconds - first, sample[name]] as const);
    const growth = slope(points) * seconds;
    lines.push(
      `${name}: grew by ${growth.toFixed(2)} in ${seconds.toFixed(0)} s; at most ${MOST[name]}`,
    );
    if (!(growth <= MOST[name])) grown.push(`${name} is not flat: it grew by ${growth.toFixed(2)}`);
  }
  return { lines, grown };
}

/** Of the straight line with the least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map(([at]) => at));
  const y = mean(points.map(([, value]) => value));
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  if (spread === 0) return 0;
  return points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0) / spread;
}
