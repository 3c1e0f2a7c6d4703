/** A line of a plot: a value at each instant, null where there is none. */
export interface Series {
  readonly name: string;
  readonly colour: string;
  readonly points: readonly (readonly [at: number, value: number | null])[];
}

/** A stretch of time that is marked. */
export interface Span {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Plot {
  readonly title: string;
  /** What the values are, with their unit; they are shown on a logarithmic scale. */
  readonly value: string;
  /** Their instants in milliseconds; the first one of all is shown as 0 s. */
  readonly series: readonly Series[];
  readonly spans: readonly Span[];
  /** A value that is drawn as a dashed line. */
  readonly bound?: { readonly name: string; readonly at: number };
}

const WIDTH = 960;
const HEIGHT = 420;
const LEFT = 64;
const RIGHT = 16;
const TOP = 64;
const BOTTOM = 48;
const TIME_STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600];

/** The plot as a picture in SVG, readable on a white ground. */
export function svgOf({ title, value, series, spans, bound }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const times = [...points.map(([at]) => at), ...spans.flatMap(({ from, to }) => [from, to])];
  const start = least(times, 0);
  const seconds = Math.max(1, (most(times, 1_000) - start) / 1_000);
  const values = points.flatMap(([, one]) => (one !== null && one > 0 ? [one] : []));
  const low = Math.floor(Math.log10(least([...values, bound?.at ?? 1], 1)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(most([...values, bound?.at ?? 1], 1))));

  const x = (at: number) => LEFT + ((at - start) / 1_000 / seconds) * (WIDTH - LEFT - RIGHT);
  const y = (one: number) =>
    HEIGHT - BOTTOM - ((Math.log10(one) - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);

  const step = TIME_STEPS.find((one) => seconds / one <= 12) ?? 7_200;
  const ticks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step);
  const decades = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));

  const marked = spans.flatMap(({ name, from, to }) => [
    `<rect x="${px(x(from))}" y="${TOP}" width="${px(x(to) - x(from))}" height="${HEIGHT - TOP - BOTTOM}" fill="#f1e9d8"/>`,
    text(x(from) + 4, TOP + 14, name),
  ]);
  const grid = [
    ...decades.flatMap((one) => [
      line(LEFT, y(one), WIDTH - RIGHT, y(one), "#ddd"),
      text(LEFT - 8, y(one) + 4, `${one}`, "end"),
    ]),
    ...ticks.flatMap((second) => [
      text(x(start + second * 1_000), HEIGHT - BOTTOM + 18, `${second}`, "middle"),
    ]),
    text(WIDTH / 2, HEIGHT - 10, "seconds", "middle"),
    text(8, TOP - 10, value),
  ];
  const limit = bound
    ? [
        line(LEFT, y(bound.at), WIDTH - RIGHT, y(bound.at), "#b00020", ' stroke-dasharray="6 4"'),
        text(WIDTH - RIGHT, y(bound.at) - 5, bound.name, "end"),
      ]
    : [];
  const lines = series.map(
    (one) =>
      `<path d="${pathOf(one, x, y)}" fill="none" stroke="${one.colour}" stroke-width="1.2" stroke-linecap="round"/>`,
  );
  const legend = series.flatMap(({ name, colour }, index) => [
    line(LEFT + index * 90, 38, LEFT + 20 + index * 90, 38, colour, ' stroke-width="2"'),
    text(LEFT + 26 + index * 90, 42, name),
  ]);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>${escaped(title)}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
${[...marked, ...grid, ...limit, ...lines, ...legend, text(LEFT, 20, title)].join("\n")}
</svg>
`;
}

/** The points joined by lines, with a gap where a value is missing. */
function pathOf(
  { points }: Series,
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  let joined = false;
  return points
    .map(([at, value]) => {
      const isShown = value !== null && value > 0;
      // One without neighbours is a dot, which `h0` makes of it.
      const mark = joined ? "" : "h0";
      const part = isShown ? `${joined ? "L" : "M"}${px(x(at))} ${px(y(value))}${mark}` : "";
      joined = isShown;
      return part;
    })
    .join("");
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, more = ""): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" stroke="${colour}"${more}/>`;
}

function text(x: number, y: number, content: string, anchor = "start"): string {
  return `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}">${escaped(content)}</text>`;
}

function px(number: number): string {
  return number.toFixed(1);
}

// Not by Math.min(...): there are more numbers than a call may have arguments.
function least(numbers: readonly number[], none: number): number {
  return numbers.length === 0 ? none : numbers.reduce((a, b) => Math.min(a, b));
}

function most(numbers: readonly number[], none: number): number {
  return numbers.length === 0 ? none : numbers.reduce((a, b) => Math.max(a, b));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
