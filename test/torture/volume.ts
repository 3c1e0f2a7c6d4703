import { dirname } from "node:path";
import type { Random } from "../support/random.js";
import type { Timed } from "./trace.js";

/** What is torn off a write: disks write whole sectors, of one of these sizes. */
const SECTORS = [512, 4096];

/** A change of a file that no sync has made last. */
interface Change {
  readonly over: number;
  /** It was there at a sync that failed, so that no later one concerns it. */
  isLost: boolean;
  isDurable: boolean;
  apply(content: Buffer, random: Random | null): Buffer;
}

interface File {
  readonly isFolder: boolean;
  base: Buffer;
  changes: Change[];
}

/** How a power cut leaves what was not synced. */
export type Cut = "nothing" | "everything" | "anything";
export const CUTS = ["nothing", "everything", "anything"] as const;

/**
 * The files that a trace leaves on a disk whose power is cut: what was synced is there; of what
 * was written after, any part may be, in whole or by sectors. Files are made and removed in
 * order, and for good when their folder is synced.
 */
export function createVolume() {
  /** The names that are there to the processes, to the disk, and the changes in between. */
  const names = new Map<string, File>();
  const durable = new Map<string, File>();
  let moves: { readonly path: string; readonly file: File | null; readonly at: number }[] = [];

  const change = (path: string, over: number, apply: Change["apply"]) => {
    names.get(path)?.changes.push({ over, isLost: false, isDurable: false, apply });
  };

  const settle = (file: File) => {
    while (file.changes[0]?.isDurable) {
      file.base = file.changes.shift()?.apply(file.base, null) ?? file.base;
    }
  };

  return {
    add(step: Timed): void {
      switch (step.what) {
        case "make": {
          if (names.has(step.path)) return;
          const { isFolder } = step;
          const file = { isFolder, base: Buffer.alloc(0), changes: [] };
          names.set(step.path, file);
          moves.push({ path: step.path, file, at: step.at });
          return;
        }
        case "remove":
          names.delete(step.path);
          moves.push({ path: step.path, file: null, at: step.at });
          return;
        case "write":
          change(step.path, step.over, (content, random) => put(content, step, random));
          return;
        case "truncate":
          change(step.path, step.over, (content) => resize(content, step.size));
          return;
        case "sync": {
          const file = names.get(step.path);
          for (const one of file?.changes ?? []) {
            if (one.over >= step.since || one.isLost) continue;
            if (step.isDone) one.isDurable = true;
            else if (!one.isDurable) one.isLost = true;
          }
          if (file) settle(file);
          if (!step.isDone) return;
          const left: typeof moves = [];
          for (const move of moves) {
            if (dirname(move.path) === step.path && move.at < step.since) {
              if (move.file) durable.set(move.path, move.file);
              else durable.delete(move.path);
            } else left.push(move);
          }
          moves = left;
          return;
        }
        case "answer":
          return;
      }
    },

    /** What is on the disk if the power is cut now. */
    cut(how: Cut, random: Random): Map<string, Buffer> {
      const seen = new Map(durable);
      const kept =
        how === "nothing" ? 0 : how === "everything" ? moves.length : random(moves.length + 1);
      for (const { path, file } of moves.slice(0, kept)) {
        if (file) seen.set(path, file);
        else seen.delete(path);
      }
      const content = ({ base, changes }: File): Buffer =>
        changes.reduce((sofar, { isDurable, apply }) => {
          if (isDurable || how === "everything") return apply(sofar, null);
          if (how === "nothing") return sofar;
          const fate = random(4);
          return fate === 0 ? sofar : apply(sofar, fate === 1 ? random : null);
        }, base);
      const isThere = ([path, { isFolder }]: [string, File]) => {
        const folder = names.has(dirname(path)) ? dirname(path) : null;
        return !isFolder && (folder === null || seen.has(folder));
      };
      return new Map([...seen].filter(isThere).map(([path, file]) => [path, content(file)]));
    },
  };
}

type Write = Extract<Timed, { readonly what: "write" }>;

/** The content with the write, or with some sectors of it if a random source is given. */
function put(content: Buffer, { offset, data }: Write, random: Random | null): Buffer {
  const grown =
    content.length < offset + data.length
      ? resize(content, offset + data.length)
      : Buffer.from(content);
  if (!random) {
    data.copy(grown, offset);
    return grown;
  }
  const sector = SECTORS[random(SECTORS.length)] ?? 512;
  for (let from = 0; from < data.length; ) {
    const to = Math.min(data.length, from + sector - ((offset + from) % sector));
    if (random(2) === 0) data.copy(grown, offset + from, from, to);
    from = to;
  }
  return grown;
}

function resize(content: Buffer, size: number): Buffer {
  return Buffer.concat([content, Buffer.alloc(Math.max(0, size - content.length))], size);
}
