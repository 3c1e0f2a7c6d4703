import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** An import within the project, both files named from its root. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  /** Whether it imports only types, so that nothing is loaded. */
  readonly isType: boolean;
}

const STATIC = /^\s*(?:import|export)\b(\s+type\b)?(?:[^;"']*\bfrom)?\s*["']([^"']+)["']/gm;
const DYNAMIC = /\b(?:import|require)\s*\(\s*["'`]([^"'`]+)["'`]/g;

/** Returns the imports in a file that lead to files of the project. */
export function arrowsOf(from: string, source: string): Arrow[] {
  const found = [
    ...[...source.matchAll(STATIC)].map(([, type, name = ""]) => ({ name, isType: !!type })),
    ...[...source.matchAll(DYNAMIC)].map(([, name = ""]) => ({ name, isType: false })),
  ];
  return found
    .filter(({ name }) => name.startsWith("."))
    .map(({ name, isType }) => {
      const path = posix.join(posix.dirname(from), name);
      const declared = path.replace(/\.js$/, ".d.ts");
      const to = existsSync(join(ROOT, declared)) ? declared : path.replace(/\.js$/, ".ts");
      return { from, to, isType };
    });
}

/** Returns the paths of the source files of a folder. */
export function sourcesOf(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => posix.join(folder, file.replaceAll("\\", "/")))
    .sort();
}

export function readSource(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** Returns the first circle among arrows as the names on it, or null if there is none. */
export function findCircle(arrows: readonly Pick<Arrow, "from" | "to">[]): string[] | null {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of arrows) {
    if (from !== to) next.set(from, (next.get(from) ?? new Set()).add(to));
  }
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (name: string): string[] | null => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return null;
    path.push(name);
    for (const one of next.get(name) ?? []) {
      const circle = visit(one);
      if (circle) return circle;
    }
    path.pop();
    done.add(name);
    return null;
  };
  for (const name of next.keys()) {
    const circle = visit(name);
    if (circle) return circle;
  }
  return null;
}

/** Returns how many arrows the longest chain has; there must be no circle. */
export function longestChain(arrows: readonly Pick<Arrow, "from" | "to">[]): number {
  const lengths = new Map<string, number>();
  const lengthOf = (name: string): number => {
    const known = lengths.get(name);
    if (known !== undefined) return known;
    const targets = arrows.filter(({ from, to }) => from === name && to !== name);
    const length = Math.max(0, ...targets.map(({ to }) => 1 + lengthOf(to)));
    lengths.set(name, length);
    return length;
  };
  return Math.max(0, ...arrows.map(({ from }) => lengthOf(from)));
}
