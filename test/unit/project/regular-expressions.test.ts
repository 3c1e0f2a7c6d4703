import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { analyse } from "scslre";
import type { Node } from "typescript/unstable/ast";
import { isIdentifier, isRegularExpressionLiteral } from "typescript/unstable/ast/is";
import { API } from "typescript/unstable/sync";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** What meets input: the server and the client. */
const FOLDERS = ["src/", "gen/ts/src/"].map((folder) => `${ROOT}${folder}`);

/** A regular expression where it stands, or a name by which one is made at run time. */
interface Find {
  readonly file: string;
  readonly text: string;
  readonly isLiteral: boolean;
}

/** All of them, as TypeScript's parser finds them. */
function findAll(): readonly Find[] {
  const api = new API({ cwd: ROOT });
  const finds: Find[] = [];
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${ROOT}tsconfig.json`] });
    for (const { rootFiles, program } of snapshot.getProjects()) {
      for (const file of rootFiles) {
        if (!FOLDERS.some((folder) => file.startsWith(folder))) continue;
        const visit = (node: Node): void => {
          const isLiteral = isRegularExpressionLiteral(node);
          if (isLiteral || isIdentifier(node)) {
            finds.push({ file: file.slice(ROOT.length), text: node.text, isLiteral });
          }
          node.forEachChild(visit);
        };
        const source = program.getSourceFile(file);
        assert.ok(source, file);
        visit(source);
      }
    }
  } finally {
    api.close();
  }
  return finds;
}

/** The parts of a literal by which matching takes more than linear time. */
function slowParts(literal: string): string[] {
  const end = literal.lastIndexOf("/");
  const { reports } = analyse({ source: literal.slice(1, end), flags: literal.slice(end + 1) });
  return reports.map(({ type }) => type);
}

test("every regular expression takes time in proportion to its input", () => {
  const literals = findAll().filter(({ isLiteral }) => isLiteral);
  // One that every project has, so that a search that finds nothing fails.
  assert.ok(literals.some(({ file }) => file === "src/domain/limits.ts"));
  const slow = literals.flatMap(({ file, text }) => {
    const parts = slowParts(text);
    return parts.length === 0 ? [] : [`${file}: ${text}: ${parts.join(", ")}`];
  });
  assert.deepEqual(slow, []);
});

test("no regular expression is made at run time, where nothing would check it", () => {
  const makers = findAll().filter(({ text, isLiteral }) => !isLiteral && text === "RegExp");
  assert.deepEqual(makers, []);
});

for (const literal of ["/\\/*(?:\\?.*)?$/", "/^(a+)+$/", "/^\\s*(.*)\\s*x$/"]) {
  test(`the check finds what is slow: ${literal}`, () => {
    assert.notDeepEqual(slowParts(literal), []);
  });
}
