import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../../support/eventually.js";
import { openHttp } from "../../support/process/http-wire.js";
import { type Ending, startProgram } from "../../support/process/program.js";
import { BIN, FREE_PORTS, makeFolder, parseLog, ROOT } from "../../support/process/server.js";
import { holdHttpCreate } from "./held.js";

const ENV = { ...FREE_PORTS, LATCHKEY_STORE: "memory:", LATCHKEY_TURN_CALLS: "off" };

/** A server that logs to a pipe of the system's, which is read only when the test says so. */
async function startPiped(t: TestContext, level: string) {
  const path = join(await makeFolder(t), "log");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const child = spawn(process.execPath, [BIN, "serve"], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"], ...ENV, LATCHKEY_LOG_LEVEL: level },
    stdio: ["ignore", writer, "pipe"],
  });
  closeSync(writer);
  let isOpen = true;
  const close = () => {
    if (isOpen) closeSync(reader);
    isOpen = false;
  };
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const end = new Promise<Ending>((resolve) => {
    child.once("close", (status, signal) => resolve({ status, signal }));
  });
  t.after(async () => {
    child.kill("SIGKILL");
    close();
    await end;
  });

  let text = "";
  const buffer = Buffer.alloc(65_536);
  /** Reads until `find` finds something; the server's end rejects. */
  const read = async <T>(find: (text: string) => T | undefined): Promise<T> => {
    for (;;) {
      try {
        text += buffer.toString("utf8", 0, readSync(reader, buffer));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      }
      const found = find(text);
      if (found !== undefined) return found;
      if (child.exitCode !== null) throw new Error(`the server ended:\n${text}\n${stderr}`);
      await pause(5);
    }
  };
  const lines = (log: string) => parseLog(log.slice(0, log.lastIndexOf("\n") + 1));
  const http = await read((log) => {
    const address = lines(log).find(({ listener }) => listener === "http")?.["address"];
    const all = lines(log).some(({ listener }) => listener === "command");
    return all && typeof address === "string" ? address : undefined;
  });
  return { http, end, close, read, lines, stderr: () => stderr, kill: child.kill.bind(child) };
}

/** Makes calls, each a line at debug, that fill the pipe and more beside. */
async function fillPipe(http: string): Promise<void> {
  const wire = openHttp(http);
  // A pipe holds 64 KiB, and a line is some 100 bytes.
  for (let call = 0; call < 2_000; call++) await wire.read("A".repeat(64));
  wire.close();
}

test("SIGTERM ends a server whose log's reader has gone", async (t) => {
  const server = await startPiped(t, "info");
  server.close();
  server.kill("SIGTERM");
  assert.deepEqual(await server.end, { status: 0, signal: null });
  assert.equal(server.stderr(), "");
});

test("a server whose log's reader has gone goes on serving", async (t) => {
  const server = await startPiped(t, "debug");
  server.close();
  await fillPipe(server.http);
  server.kill("SIGTERM");
  assert.deepEqual(await server.end, { status: 0, signal: null });
  assert.equal(server.stderr(), "");
});

test("SIGTERM ends a server whose log's reader stalls, with the pipe full", async (t) => {
  const server = await startPiped(t, "debug");
  await fillPipe(server.http);
  server.kill("SIGTERM");
  assert.deepEqual(await server.end, { status: 0, signal: null });
});

test("a second SIGTERM ends a server at once whose log's reader stalls", async (t) => {
  const server = await startPiped(t, "debug");
  await fillPipe(server.http);
  // The call that is held would keep the first from ending the server for 10 s.
  const held = await holdHttpCreate(t, server.http, "held");
  server.kill("SIGTERM");
  const late = openHttp(server.http);
  while ((await late.create("late", {})) !== "unanswered") await pause(5);
  late.close();
  server.kill("SIGTERM");
  assert.deepEqual(await server.end, { status: 1, signal: null });
  void held;
});

test("a reader that was slow gets whole lines, up to the last", async (t) => {
  const server = await startPiped(t, "debug");
  await fillPipe(server.http);
  server.kill("SIGTERM");
  const lines = await server.read((log) => {
    const all = server.lines(log);
    return all.at(-1)?.["msg"] === "stopped" ? all : undefined;
  });
  assert.ok(lines.filter(({ msg }) => msg === "call answered").length >= 2_000);
  assert.deepEqual(await server.end, { status: 0, signal: null });
});

/** Waits until a process has the sockets of all listeners. */
async function listening(pid: string): Promise<void> {
  const open = () => spawnSync("ls", ["-l", `/proc/${pid}/fd`]).stdout.toString();
  while (open().split("socket:").length < 4) await pause(20);
}

test("a server ends whose output goes to `2>&1 | head -1`", async (t) => {
  const folder = await makeFolder(t);
  const script = join(folder, "serve");
  writeFileSync(script, `"$0" "$1" serve 2>&1 & echo "$!" >&3; wait "$!"; echo "$?" >&3`);
  const program = startProgram(t, {
    argv: ["sh", "-c", `{ . ${script}; } 3>&2 | head -1 > /dev/null`, process.execPath, BIN],
    cwd: ROOT,
    env: { ...ENV, LATCHKEY_HTTP: "127.0.0.1:0" },
    hasChildren: true,
  });
  const pid = await program.waitFor(() => /^(\d+)\n/.exec(program.output.stderr)?.[1]);
  // Its second line finds the pipe closed; it listens on all of its ports by then.
  await listening(pid);
  process.kill(Number(pid), "SIGTERM");
  const status = await program.waitFor(() => /^\d+\n(\d+)\n/.exec(program.output.stderr)?.[1]);
  assert.equal(status, "0");
});

test("a reader that comes back is told how many lines were lost, as the metrics tell", async (t) => {
  const server = await startPiped(t, "debug");
  // Until more was lost than the pipe and the server hold.
  const lost = async () => {
    const text = await (await fetch(`http://${server.http}/metrics`)).text();
    return Number(/^latchkey_log_lost_lines_total (\d+)$/m.exec(text)?.[1] ?? assert.fail(text));
  };
  assert.equal(await lost(), 0);
  const wire = openHttp(server.http, 50);
  while ((await lost()) === 0) {
    await Promise.all(Array.from({ length: 1_000 }, () => wire.read("A".repeat(64))));
  }
  const told = await server.read((log) => {
    const line = server.lines(log).find(({ msg }) => `${msg}`.startsWith("log lines were lost"));
    return line?.["lost"];
  });
  assert.equal(told, await lost());
  wire.close();
  server.kill("SIGTERM");
  await server.read((log) => server.lines(log).at(-1)?.["msg"] === "stopped" || undefined);
  assert.deepEqual(await server.end, { status: 0, signal: null });
});

/** A server whose log goes to `out`, which the test cannot read: a socket file tells where it is. */
async function startRedirected(t: TestContext, out: string) {
  const socketPath = join(await makeFolder(t), "http.sock");
  const program = startProgram(t, {
    argv: ["sh", "-c", 'exec "$0" "$1" serve >> "$2"', process.execPath, BIN, out],
    cwd: ROOT,
    env: { ...ENV, LATCHKEY_HTTP: `unix:${socketPath}`, LATCHKEY_LOG_LEVEL: "debug" },
  });
  const ask = (path: string) =>
    new Promise<string>((resolve, reject) => {
      get({ socketPath, path, headers: { host: "localhost" } }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        answer.on("error", reject).on("end", () => resolve(text));
      }).on("error", reject);
    });
  const isUp = () =>
    ask("/livez").then(
      (text) => text.includes("alive"),
      () => false,
    );
  await eventually("a server", isUp);
  const lost = async () =>
    Number(/^latchkey_log_lost_lines_total (\d+)$/m.exec(await ask("/metrics"))?.[1]);
  return { program, ask, lost };
}

test("a server whose log cannot be written serves on, and its metrics tell what was lost", async (t) => {
  const { program, ask, lost } = await startRedirected(t, "/dev/full");
  const before = await lost();
  assert.ok(before > 0);
  for (let call = 0; call < 10; call++) await ask(`/shop/get/${"A".repeat(64)}`);
  await eventually("lost lines", async () => (await lost()) >= before + 10);
  program.signal("SIGTERM");
  assert.deepEqual(await program.end, { status: 0, signal: null });
  assert.equal(program.output.stderr, "");
});

test("a log on a disk that was full goes on when there is room, and tells what was lost", async (t) => {
  const disk = await makeFolder(t);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
  if (mounted.status !== 0) return t.skip("this user may not mount a small disk");
  try {
    const [out, filler] = [join(disk, "log"), join(disk, "filler")];
    const { program, ask, lost } = await startRedirected(t, out);
    // It takes what there is room for.
    spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=64k", "count=2"]);
    while ((await lost()) === 0) await ask(`/shop/get/${"A".repeat(64)}`);
    rmSync(filler);
    await ask(`/shop/get/${"A".repeat(64)}`);
    await eventually("a line of the loss", () =>
      readFileSync(out, "utf8").includes('"msg":"log lines were lost'),
    );
    program.signal("SIGTERM");
    assert.deepEqual(await program.end, { status: 0, signal: null });
    assert.match(readFileSync(out, "utf8"), /"msg":"stopped"}\n$/);
  } finally {
    // Also while a server writes there that a failed test left.
    spawnSync("umount", ["-l", disk]);
  }
});

test("a full disk under the log neither ends a server nor keeps it", async (t) => {
  const program = startProgram(t, {
    argv: ["sh", "-c", 'echo "$$"; exec "$0" "$1" serve > /dev/full', process.execPath, BIN],
    cwd: ROOT,
    env: ENV,
  });
  await listening(await program.waitFor(() => program.output.stdout.trim() || undefined));
  program.signal("SIGTERM");
  assert.deepEqual(await program.end, { status: 0, signal: null });
  assert.equal(program.output.stderr, "");
});
