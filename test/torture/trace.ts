/**
 * What a traced process did, in the order in which it did it: a write or an answer counts from
 * when it was begun, all else when it was over. A call that failed is not there, but for syncs.
 */
export type Step =
  | {
      readonly what: "write";
      readonly path: string;
      readonly offset: number;
      readonly data: Buffer;
      readonly over: number;
    }
  | {
      readonly what: "truncate";
      readonly path: string;
      readonly size: number;
      readonly over: number;
    }
  /** Of a file or a folder. `since` is where it was begun. */
  | {
      readonly what: "sync";
      readonly path: string;
      readonly since: number;
      readonly isDone: boolean;
    }
  /** Opened so that it is there from here on. */
  | { readonly what: "make"; readonly path: string; readonly isFolder: boolean }
  | { readonly what: "remove"; readonly path: string }
  /** To a pipe or a TCP connection. */
  | { readonly what: "answer"; readonly to: string; readonly data: Buffer };

/** A step and the line at which it counts. */
export type Timed = Step & { readonly at: number };

const CALLS =
  "openat,mkdir,mkdirat,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,write,writev,sendto,sendmsg";

/** The command that traces a program into `file`, for `readTrace`. */
export function tracer(file: string, inject: readonly string[] = []): string[] {
  return [
    ...["strace", "--follow-forks", "--seccomp-bpf", "-qq", "-yy", "-xx", "-s", "1000000"],
    ...["-o", file, "-e", `trace=${CALLS}`, ...inject],
  ];
}

interface Call {
  readonly name: string;
  readonly text: string;
  readonly begun: number;
}

/** The steps of a trace that concern `folder`, pipes or connections. `from` numbers its first line. */
export function readTrace(text: string, folder: string, from = 0): Timed[] {
  const open = new Map<string, Call>();
  const steps: Timed[] = [];
  let at = from;
  for (const line of text.split("\n")) {
    at++;
    const [, pid = "", resumed, name = "", rest = ""] =
      /^(\d+) +(<\.\.\. )?(\w+)(?: resumed>|\()(.*)$/.exec(line) ?? [];
    if (name === "") continue;
    if (rest.endsWith(" <unfinished ...>")) {
      open.set(pid, { name, text: rest.slice(0, -17), begun: at });
      continue;
    }
    const call = resumed ? open.get(pid) : { name, text: "", begun: at };
    if (call) steps.push(...stepsOf({ ...call, text: call.text + rest }, at, folder));
  }
  return steps.sort((a, b) => a.at - b.at);
}

function stepsOf({ name, text, begun }: Call, over: number, folder: string): Timed[] {
  const [, args = "", result = ""] = /^(.*)\) += (-?\d+)/.exec(text) ?? [];
  const isDone = Number(result) >= 0 && result !== "";
  const target = decode(/^\d+<(.*?)>(?:,|$)/.exec(args)?.[1] ?? "").toString();
  const inFolder = (path: string) => path === folder || path.startsWith(`${folder}/`);
  switch (name) {
    case "pwrite64": {
      const offset = Number(/(\d+)$/.exec(args)?.[1]);
      if (!isDone || !inFolder(target)) return [];
      const data = dataOf(args).subarray(0, Number(result));
      return [{ what: "write", path: target, offset, data, over, at: begun }];
    }
    case "ftruncate": {
      if (!isDone || !inFolder(target)) return [];
      const size = Number(/(\d+)$/.exec(args)?.[1]);
      return [{ what: "truncate", path: target, size, over, at: begun }];
    }
    case "fsync":
    case "fdatasync":
      if (!inFolder(target)) return [];
      return [{ what: "sync", path: target, since: begun, isDone, at: over }];
    case "openat":
    case "mkdir":
    case "mkdirat":
    case "unlink":
    case "unlinkat": {
      const path = dataOf(args).toString();
      if (!isDone || !inFolder(path)) return [];
      if (name.startsWith("unlink")) return [{ what: "remove", path, at: over }];
      if (name === "openat" && !args.includes("O_CREAT")) return [];
      return [{ what: "make", path, isFolder: name !== "openat", at: over }];
    }
    default:
      if (!isDone || !/^(pipe:|TCP|socket:|UNIX)/.test(target)) return [];
      return [{ what: "answer", to: target, data: dataOf(args), at: begun }];
  }
}

/** All strings among the arguments of a call, joined. */
function dataOf(args: string): Buffer {
  return Buffer.concat([...args.matchAll(/"([^"]*)"/g)].map(([, text = ""]) => decode(text)));
}

/** A tracer writes strings as `\x61\x62`, and of some only what is not plain. */
function decode(text: string): Buffer {
  if (/^(\\x[0-9a-f]{2})*$/.test(text)) return Buffer.from(text.replaceAll("\\x", ""), "hex");
  return Buffer.from(text);
}
