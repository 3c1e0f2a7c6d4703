import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** An import within the project, files named from its folder. */
interface Arrow {
  readonly from: string;
  readonly to: string;
  /** Whether only types go along it, so that nothing is loaded. */
  readonly isType: boolean;
}

/** Where the folders of src/ may import from, beside themselves. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  services: ["domain"],
  stores: ["domain"],
  rke: ["domain"],
  transports: ["domain", "services", "gen"],
};

/** The same for the files directly in src/. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["domain", "services", "stores", "rke", "transports", "a file", "identities.ts"],
  // The commands: one runs main, the others need no server.
  "cli.ts": ["domain", "stores", "a file", "main.ts", "account-command.ts", "rke-command.ts"],
  // The process: it checks what runs it before it loads anything else.
  "bin.ts": ["a file", "cli.ts"],
  // What main composes of the accounts, in a file of its own.
  "identities.ts": ["domain", "services", "stores", "a file"],
  // Commands that do without a server compose what they need.
  "account-command.ts": ["domain", "services", "stores", "a file"],
  "rke-command.ts": ["domain", "rke", "a file"],
  "any other": ["domain", "a file"],
};

/** The files that read settings. */
const SETTINGS = ["config.ts", "setting-values.ts"];

/** Parts whose folders do not know each other: a new store or wire touches one of them. */
const SEPARATE = ["stores", "transports"];

const STATIC = /^\s*(?:import|export)\b(\s+type\b)?(?:[^;"']*\bfrom)?\s*["']([^"']+)["']/gm;
const DYNAMIC = /\b(?:import|require)\s*\(\s*["'`]([^"'`]+)["'`]/g;

/** The imports in a file that lead to files of the project. */
function arrowsOf(from: string, source: string): Arrow[] {
  const found = [
    ...[...source.matchAll(STATIC)].map(([, type, name = ""]) => ({ name, isType: !!type })),
    ...[...source.matchAll(DYNAMIC)].map(([, name = ""]) => ({ name, isType: false })),
  ];
  return found
    .filter(({ name }) => name.startsWith("."))
    .map(({ name, isType }) => ({
      from,
      to: posix.join(posix.dirname(from), name).replace(/\.js$/, ".ts"),
      isType,
    }));
}

function isAllowed({ from, to, isType }: Arrow): boolean {
  const [source, target] = [partOf(from), partOf(to)];
  // Settings say what to open and serve, in the terms of what does.
  const isServed = to === "src/stores/index.ts" || target === "transports";
  if (SETTINGS.includes(source) && isServed) return isType;
  if (source === target) return !SEPARATE.includes(source) || mayEnter(from, folderOf(to));
  const allowed = LAYERS[source] ?? FILES[source] ?? FILES["any other"] ?? [];
  return allowed.includes(target) || (allowed.includes("a file") && isPlainFile(to));
}

/** Whether it is a file directly in src/ that composes nothing. */
function isPlainFile(path: string): boolean {
  return /^src\/[^/]+\.ts$/.test(path) && !Object.hasOwn(FILES, partOf(path));
}

/** Within a part: its index.ts enters every folder, a folder only itself. */
function mayEnter(from: string, folder: string): boolean {
  return folder === "" || folderOf(from) === folder || from.endsWith("/index.ts");
}

/** `domain` of src/domain/error.ts, `main.ts` of src/server/start.ts, `gen` of gen/ts/…; else the path. */
function partOf(path: string): string {
  const [top = "", part = ""] = path.split("/");
  if (top === "src") return part;
  return top === "gen" ? "gen" : path;
}

/** `grpc` of src/transports/grpc/server.ts; empty for a file directly in its part. */
function folderOf(path: string): string {
  const [, , folder = "", ...rest] = path.split("/");
  return rest.length > 0 ? folder : "";
}

const show = ({ from, to }: Arrow) => `${from} -> ${to}`;

const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => posix.join("src", file.replaceAll("\\", "/")));
const arrows = files.flatMap((file) => arrowsOf(file, readFileSync(join(ROOT, file), "utf8")));

test("no import goes against the layers", () => {
  assert.deepEqual(arrows.filter((arrow) => !isAllowed(arrow)).map(show), []);
});

test("every import leads to a file, so that the rule sees what the compiler sees", () => {
  assert.deepEqual(arrows.filter(({ to }) => !existsSync(join(ROOT, to))).map(show), []);
  // The composition root reaches every layer; if its imports are seen, so are others'.
  const reached = new Set(
    arrows.filter(({ from }) => from === "src/server/start.ts").map(({ to }) => partOf(to)),
  );
  for (const layer of ["services", "stores", "rke", "transports"])
    assert.ok(reached.has(layer), layer);
});

for (const [from, source, expected] of [
  ["src/domain/a.ts", 'import { x } from "../../../services/b.js";', ["src/services/b.ts"]],
  ["src/domain/a.ts", 'import type { X } from "../../../../gen/ts/x_pb.js";', ["gen/ts/x_pb.ts"]],
  ["src/domain/a.ts", 'import { x } from "./b.js";\nimport { y } from "uuid";', []],
  ["src/services/a.ts", 'export * from "../../../stores/index.js";', ["src/stores/index.ts"]],
  [
    "src/services/a.ts",
    'export type { X } from "../../../transports/b.js";',
    ["src/transports/b.ts"],
  ],
  ["src/services/a.ts", 'import "../../gen/ts/x_pb.js";', ["gen/ts/x_pb.ts"]],
  ["src/services/a.ts", 'import {\n  x,\n  y,\n} from "../../../domain/b.js";', []],
  [
    "src/stores/redis/a.ts",
    'import { x } from "../../../sqlite/b.js";',
    ["src/stores/sqlite/b.ts"],
  ],
  ["src/stores/redis/a.ts", 'import { x } from "../../../shared.js";', []],
  ["src/stores/index.ts", 'import { x } from "./redis/a.js";', []],
  ["src/rke/a.ts", 'import { x } from "../../../transports/b.js";', ["src/transports/b.ts"]],
  [
    "src/transports/grpc/a.ts",
    'import { x } from "../../../http/b.js";',
    ["src/transports/http/b.ts"],
  ],
  ["src/transports/a.ts", 'const x = await import("../../../stores/b.js");', ["src/stores/b.ts"]],
  ["src/transports/a.ts", 'const x = require("../../../rke/b.js");', ["src/rke/b.ts"]],
  ["src/transports/grpc/a.ts", 'import { x } from "../../../../services/b.js";', []],
  ["src/config/config.ts", 'import { x } from "./stores/index.js";', ["src/stores/index.ts"]],
  ["src/config/config.ts", 'import type { X } from "./stores/index.js";', []],
  ["src/server/start.ts", 'import { x } from "../../b.js";', ["test/b.ts"]],
  ["src/server/start.ts", 'import { x } from "./bin.js";', ["src/bin.ts"]],
  ["src/server/start.ts", 'import { x } from "./other.js";', []],
  ["src/other.ts", 'import { x } from "./domain/b.js";', []],
  ["src/other.ts", 'import { x } from "./services/b.js";', ["src/services/b.ts"]],
  ["src/services/a.ts", 'import { x } from "../../../other.js";', ["src/other.ts"]],
] satisfies [string, string, string[]][]) {
  test(`the rule on ${from} with ${source.replace(/\s+/g, " ")}`, () => {
    const forbidden = arrowsOf(from, source).filter((arrow) => !isAllowed(arrow));
    assert.deepEqual(
      forbidden.map(({ to }) => to),
      expected,
    );
  });
}
