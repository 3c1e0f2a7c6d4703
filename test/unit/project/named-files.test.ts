import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { ROOT, readSource } from "./imports.js";

/** A file of the sources in backticks: by its path from the root, so that it is found. */
const NAMED = /`([\w./-]+\.ts)`/g;
/** A link of Markdown to a file, without its fragment. */
const LINKED = /\]\(([^)#\s:]+)(?:#[^)]*)?\)/g;

// Those of the repository, not of packages that are installed or built in it.
const pages = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
  {
    cwd: ROOT,
    encoding: "utf8",
  },
)
  .trim()
  .split("\n");

/** Returns the files that a page names and that are not there. */
function missingFrom(page: string, text: string): string[] {
  const folder = posix.dirname(page);
  const named = [...text.matchAll(NAMED)].map(([, path = ""]) => path);
  const linked = [...text.matchAll(LINKED)].map(([, path = ""]) => posix.join(folder, path));
  return [...named, ...linked].filter((path) => !existsSync(join(ROOT, path)));
}

test("every file that a page names or links to is there", () => {
  const missing = pages.flatMap((page) =>
    missingFrom(page, readSource(page)).map((path) => `${page}: ${path}`),
  );
  assert.ok(pages.includes("README.md"));
  assert.deepEqual(missing, []);
});

test("a file that is not there is found, by its name and by a link", () => {
  const text = "`src/bin.ts` and `bin.ts`, [here](../README.md#settings) and [there](no.md)";
  assert.deepEqual(missingFrom("docs/a.md", text), ["bin.ts", "docs/no.md"]);
});
