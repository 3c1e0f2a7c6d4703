import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { arrowsOf, findCircle, longestChain, ROOT, readSource, sourcesOf } from "./imports.js";
import { FLOORS, isAllowed, LAYERS, partOf } from "./layers.js";

/** The most source files that a folder may hold. */
const MOST_FILES = 12;

/** Folders that may hold more, with the reason. */
const LARGE: Readonly<Record<string, string>> = {};

const files = sourcesOf("src");
const arrows = files.flatMap((file) => arrowsOf(file, readSource(file)));
const show = ({ from, to }: { readonly from: string; readonly to: string }) => `${from} -> ${to}`;

test("no import goes against the layers and floors", () => {
  assert.deepEqual(arrows.filter((arrow) => !isAllowed(arrow)).map(show), []);
});

test("no files, and no folders, import each other in a circle, types included", () => {
  assert.equal(findCircle(arrows), null);
  const folders = arrows.map(({ from, to }) => ({
    from: posix.dirname(from),
    to: posix.dirname(to),
  }));
  assert.equal(findCircle(folders), null);
});

test("a circle is found, and the length of a chain", () => {
  const chain = ["ab", "bc", "ad"].map(([from = "", to = ""]) => ({ from, to }));
  assert.equal(findCircle(chain), null);
  assert.equal(longestChain(chain), 2);
  assert.deepEqual(findCircle([...chain, { from: "c", to: "a" }]), ["a", "b", "c", "a"]);
});

test("every import leads to a file, so that the rule sees what the compiler sees", () => {
  assert.deepEqual(arrows.filter(({ to }) => !existsSync(join(ROOT, to))).map(show), []);
  // The composition root reaches every layer; if its imports are seen, so are others'.
  const reached = new Set(
    arrows.filter(({ from }) => partOf(from) === "server").map(({ to }) => partOf(to)),
  );
  for (const layer of ["services", "stores", "rke", "transports"])
    assert.ok(reached.has(layer), layer);
});

test("every part and room that the rules name is there, and every one that is there is named", () => {
  const parts = new Set(files.map(partOf));
  assert.deepEqual([...parts].sort(), Object.keys(LAYERS).sort());
  for (const [part, floors] of Object.entries(FLOORS)) {
    const rooms = files
      .filter((file) => file.startsWith(`src/${part}/`))
      .map((file) => posix.relative(`src/${part}`, posix.dirname(file)).split("/")[0] || ".");
    const named = floors.flat().filter((room) => room !== ".");
    const there = [...new Set(rooms)].filter((room) => room !== ".");
    assert.deepEqual(there.sort(), named.sort(), part);
  }
});

test(`no folder holds more than ${MOST_FILES} source files`, () => {
  const counts = new Map<string, number>();
  for (const file of files) {
    const folder = posix.dirname(file);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  const large = [...counts].filter(([, count]) => count > MOST_FILES).map(([folder]) => folder);
  assert.deepEqual(large.sort(), Object.keys(LARGE).sort());
});

test("no module exports `then`, which would make it a thenable that cannot be imported dynamically", () => {
  const exported = files.filter((file) =>
    /^export\b[^;]*\b(?:function\*?|const|let|class)\s+then\b|^export\s*\{[^}]*\bthen\b[^}]*\}/m.test(
      readSource(file),
    ),
  );
  assert.deepEqual(exported, []);
});

for (const [from, source, expected] of [
  ["src/lib/a.ts", 'import { x } from "../domain/b.js";', ["src/domain/b.ts"]],
  ["src/domain/a.ts", 'import { x } from "../services/b.js";', ["src/services/b.ts"]],
  ["src/domain/a.ts", 'import type { X } from "../../gen/ts/x_pb.js";', ["gen/ts/x_pb.ts"]],
  ["src/domain/a.ts", 'import { x } from "./b.js";\nimport { y } from "uuid";', []],
  ["src/services/a.ts", 'export * from "../stores/index.js";', ["src/stores/index.ts"]],
  ["src/services/a.ts", 'export type { X } from "../transports/b.js";', ["src/transports/b.ts"]],
  ["src/services/a.ts", 'import "../../gen/ts/x_pb.js";', ["gen/ts/x_pb.ts"]],
  ["src/services/a.ts", 'import {\n  x,\n  y,\n} from "../domain/b.js";', []],
  ["src/services/access/a.ts", 'import { x } from "../sessions/b.js";', []],
  [
    "src/services/sessions/a.ts",
    'import { x } from "../access/b.js";',
    ["src/services/access/b.ts"],
  ],
  ["src/services/rke/a.ts", 'import { x } from "../logins/b.js";', ["src/services/logins/b.ts"]],
  ["src/stores/memory/a.ts", 'import { x } from "../sqlite/b.js";', ["src/stores/sqlite/b.ts"]],
  ["src/stores/memory/a.ts", 'import { x } from "../shared.js";', ["src/stores/shared.ts"]],
  ["src/stores/index.ts", 'import { x } from "./memory/a.js";', []],
  [
    "src/stores/sqlite/tables/a.ts",
    'import type { X } from "../cache/b.js";',
    ["src/stores/sqlite/cache/b.ts"],
  ],
  ["src/stores/sqlite/cache/a.ts", 'import type { X } from "../tables/b.js";', []],
  ["src/rke/a.ts", 'import { x } from "../transports/b.js";', ["src/transports/b.ts"]],
  ["src/transports/grpc/a.ts", 'import { x } from "../http/b.js";', ["src/transports/http/b.ts"]],
  ["src/transports/net/a.ts", 'import { x } from "../call/b.js";', ["src/transports/call/b.ts"]],
  ["src/transports/a.ts", 'const x = await import("../stores/b.js");', ["src/stores/b.ts"]],
  ["src/transports/a.ts", 'const x = require("../rke/b.js");', ["src/rke/b.ts"]],
  ["src/transports/grpc/a.ts", 'import { x } from "../../services/b.js";', []],
  ["src/transports/http/a.ts", 'import { x } from "../../telemetry/b.js";', ["src/telemetry/b.ts"]],
  ["src/config/a.ts", 'import { x } from "../stores/index.js";', ["src/stores/index.ts"]],
  ["src/config/a.ts", 'import type { X } from "../stores/index.js";', []],
  ["src/server/a.ts", 'import { x } from "../../test/b.js";', ["test/b.ts"]],
  ["src/server/a.ts", 'import { x } from "../bin.js";', ["src/bin.ts"]],
  ["src/server/a.ts", 'import { x } from "../cli/b.js";', ["src/cli/b.ts"]],
  ["src/bin.ts", 'import { x } from "./server/start.js";', ["src/server/start.ts"]],
] satisfies [string, string, string[]][]) {
  test(`the rule on ${from} with ${source.replace(/\s+/g, " ")}`, () => {
    const forbidden = arrowsOf(from, source).filter((arrow) => !isAllowed(arrow));
    assert.deepEqual(
      forbidden.map(({ to }) => to),
      expected,
    );
  });
}
