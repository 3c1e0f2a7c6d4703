import type { PhaseResult } from "../load/phase.js";
import { type Plot, type Series, type Span, svgOf } from "./plot.js";

const LINES = [
  { name: "max", colour: "#c9a227", of: "max" },
  { name: "p99", colour: "#b5482a", of: "p99" },
  { name: "p50", colour: "#1f6f8b", of: "p50" },
] as const;

/** The latencies of phases over time as SVG; those that `spans` names are marked. */
export function latencyPlot(
  title: string,
  phases: readonly PhaseResult[],
  spans: readonly string[],
  bound: NonNullable<Plot["bound"]>,
): string {
  const windows = phases.flatMap((phase) => phase.windows);
  const series = LINES.map(
    ({ name, colour, of }): Series => ({
      name,
      colour,
      points: windows.map(({ at, accepted }) => [at, accepted.count === 0 ? null : accepted[of]]),
    }),
  );
  series.push({
    name: "stolen from each processor",
    colour: "#8a8a8a",
    points: windows.map(({ at, stolen }, index) => [
      at,
      stolen * ((windows[index + 1]?.at ?? at) - at),
    ]),
  });
  const marked = phases
    .filter(({ name }) => spans.includes(name))
    .map(({ name, at, seconds }): Span => ({ name, from: at, to: at + seconds * 1_000 }));
  return svgOf({ title, value: "latency, ms", series, spans: marked, bound });
}
