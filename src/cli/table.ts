/** Lines in which every column is as wide as its widest cell, for people to read. */
export function formatTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [heads, ...rows];
  const lengthOf = (text: string) => [...text].length;
  const widths = heads.map((_, column) =>
    Math.max(...lines.map((cells) => lengthOf(cells[column] ?? ""))),
  );
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - lengthOf(cell)))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}
