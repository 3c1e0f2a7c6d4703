import { parseArgs } from "node:util";

/** A number that a trial is given by `--name`. */
export interface NumberOption {
  readonly normal: number;
  /** What it is with `--smoke`. */
  readonly smoke: number;
  /** The most it may be, so that a run ends. */
  readonly most: number;
  readonly means: string;
}

/** What a trial can be told; every option is known by its name. */
export interface TrialOptions {
  /** The lines of help that say what the trial does, without its options. */
  readonly about: string;
  readonly numbers: Readonly<Record<string, NumberOption>>;
  /** Options that are given or not, by what they mean. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Options that are one of a few words, the first unless given. */
  readonly choices?: Readonly<
    Record<string, { readonly of: readonly string[]; readonly means: string }>
  >;
  /** Those that name a file, by what they mean; empty where not given. */
  readonly files: Readonly<Record<string, string>>;
}

export type TrialValues<O extends TrialOptions> = { readonly smoke: boolean } & {
  readonly [N in keyof O["numbers"]]: number;
} & { readonly [N in keyof O["files"]]: string } & {
  readonly [N in NamesIn<O, "flags">]: boolean;
} & { readonly [N in NamesIn<O, "choices">]: WordIn<O, N> };

type NamesIn<O, K extends string> = O extends { readonly [P in K]: infer Named }
  ? keyof Named & string
  : never;
type WordIn<O, N extends string> = O extends {
  readonly choices: { readonly [P in N]: { readonly of: readonly (infer Word)[] } };
}
  ? Word
  : never;

/** Reads a trial's options, the numbers whole and at least 1. Undefined if help was asked for,
 * which is printed; throws a plain sentence. */
export function parseTrialOptions<O extends TrialOptions>(
  args: readonly string[],
  { about, numbers, flags = {}, choices = {}, files }: O,
): TrialValues<O> | undefined {
  const ofType = (type: "string" | "boolean", names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, { type }]));
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...ofType("string", [numbers, choices, files].flatMap(Object.keys)),
      ...ofType("boolean", [...Object.keys(flags), "smoke"]),
      help: { type: "boolean", short: "h" },
    },
  });
  const given: Readonly<Record<string, unknown>> = values;
  if (given["help"] === true) {
    process.stdout.write(helpOf({ about, numbers, flags, choices, files }));
    return undefined;
  }
  const smoke = given["smoke"] === true;
  const read: Record<string, unknown> = { smoke };
  for (const [name, option] of Object.entries(numbers)) {
    const value = Number(given[name] ?? option[smoke ? "smoke" : "normal"]);
    if (!Number.isInteger(value) || value < 1 || value > option.most) {
      throw new Error(`--${name} must be a whole number from 1 to ${option.most}`);
    }
    read[name] = value;
  }
  for (const name of Object.keys(flags)) read[name] = given[name] === true;
  for (const [name, { of }] of Object.entries(choices)) {
    const word = of.find((one) => one === (given[name] ?? of[0]));
    if (word === undefined) throw new Error(`--${name} must be one of ${of.join(", ")}`);
    read[name] = word;
  }
  for (const name of Object.keys(files)) read[name] = given[name] ?? "";
  return read as TrialValues<O>;
}

function helpOf({ about, numbers, flags = {}, choices = {}, files }: TrialOptions): string {
  const lines = [
    ...Object.entries(numbers).map(([name, { means, normal }]) => [
      `--${name} N`,
      `${means} (${normal})`,
    ]),
    ...Object.entries(flags).map(([name, means]) => [`--${name}`, means]),
    ...Object.entries(choices).map(([name, { of, means }]) => [
      `--${name} WORD`,
      `${means}: ${of.join(", ")} (${of[0]})`,
    ]),
    ...Object.entries(files).map(([name, means]) => [`--${name} PATH`, means]),
    ["--smoke", "small and short: that it works, not how fast"],
    ["--help", "show this"],
  ];
  const options = lines.map(([option = "", means]) => `  ${option.padEnd(18)} ${means}`);
  return `${about.trim()}\n\nOptions:\n${options.join("\n")}\n`;
}
