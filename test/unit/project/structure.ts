/**
 * Prints how the sources are laid out: the files of each folder of src/, and within a part (by
 * default stores/sqlite) the arrows between files, the longest chain of them, and a circle if
 * there is one.
 *
 *     node --import tsx test/unit/project/structure.ts [PART]
 */
import { posix } from "node:path";
import { arrowsOf, findCircle, longestChain, readSource, sourcesOf } from "./imports.js";

const part = posix.join("src", process.argv[2] ?? "stores/sqlite");

const counts = new Map<string, number>();
for (const file of sourcesOf("src")) {
  const folder = posix.dirname(file);
  counts.set(folder, (counts.get(folder) ?? 0) + 1);
}
for (const [folder, count] of [...counts].sort())
  console.log(`${String(count).padStart(3)} ${folder}`);

const inside = (path: string) => path.startsWith(`${part}/`);
const arrows = sourcesOf(part)
  .flatMap((file) => arrowsOf(file, readSource(file)))
  .filter(({ to }) => inside(to));
const circle = findCircle(arrows);
const chain = circle ? "no end" : `${longestChain(arrows)} arrows`;
console.log(`\n${part}: ${arrows.length} arrows; longest chain: ${chain}`);
if (circle) console.log(`a circle: ${circle.join(" -> ")}`);
