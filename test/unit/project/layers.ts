import { posix } from "node:path";
import type { Arrow } from "./imports.js";

/**
 * Each part of src/ and the parts that it may import beside itself. Whatever stands in no row may
 * not be imported; a part with no row may import nothing.
 */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  domain: ["lib"],
  services: ["lib", "domain"],
  stores: ["lib", "domain"],
  rke: ["lib", "domain"],
  transports: ["lib", "domain", "services", "gen"],
  telemetry: ["lib", "domain", "services", "transports"],
  config: ["lib", "domain"],
  server: ["lib", "domain", "services", "stores", "rke", "transports", "telemetry", "config"],
  cli: ["lib", "domain", "services", "stores", "rke", "telemetry", "config", "server"],
  // The process checks what runs it before it loads anything else.
  "bin.ts": ["cli"],
};

/** Parts that others may name only the types of. */
const TYPES_ONLY: Readonly<Record<string, readonly string[]>> = {
  // Settings say what to open and serve, in the terms of what does.
  config: ["stores", "transports"],
};

/**
 * The rooms within a part, from the lowest floor to the highest. A room imports only rooms of lower
 * floors; rooms on one floor do not know each other. Files directly in the part are its top floor.
 */
export const FLOORS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  services: [["."], ["sessions", "watches", "rke", "logins"], ["access"]],
  stores: [["memory", "sqlite"], ["."]],
  "stores/sqlite": [
    ["file"],
    ["tables", "threads"],
    ["checkpoint", "prefetch", "accounts"],
    ["commit"],
    ["cache"],
    ["state"],
    ["sessions"],
    ["."],
  ],
  transports: [["net"], ["call"], ["rpc"], ["grpc", "http", "command"]],
  "transports/grpc": [["http2"], ["methods"], ["."]],
  "transports/http": [
    ["answers"],
    ["requests"],
    ["checks", "connect", "rest-sessions", "rke"],
    ["."],
  ],
};

/** Returns whether an import keeps to the layers and floors. */
export function isAllowed({ from, to, isType }: Arrow): boolean {
  const [source, target] = [partOf(from), partOf(to)];
  if (source === target) return keepsToFloors(from, to);
  if ((LAYERS[source] ?? []).includes(target)) return true;
  return isType && (TYPES_ONLY[source] ?? []).includes(target);
}

/** Returns `domain` of src/domain/error.ts, `bin.ts` of src/bin.ts, `gen` of gen/ts/…; else the path. */
export function partOf(path: string): string {
  const [top = "", part = ""] = path.split("/");
  if (top === "src") return part;
  return top === "gen" ? "gen" : path;
}

function keepsToFloors(from: string, to: string): boolean {
  return Object.entries(FLOORS).every(([part, floors]) => {
    const [source, target] = [roomIn(part, from), roomIn(part, to)];
    if (source === null || target === null || source === target) return true;
    const [above, below] = [source, target].map((room) =>
      floors.findIndex((rooms) => rooms.includes(room)),
    );
    return below !== -1 && above !== undefined && below !== undefined && below < above;
  });
}

/** Returns the room of a part that a file stands in, `.` if in none, null if not in the part. */
function roomIn(part: string, path: string): string | null {
  const inside = posix.relative(posix.join("src", part), path);
  if (inside.startsWith("..")) return null;
  const [room = "", ...rest] = inside.split("/");
  return rest.length === 0 ? "." : room;
}
