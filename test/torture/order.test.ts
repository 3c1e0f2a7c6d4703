import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { openGrpc } from "../support/process/grpc-wire.js";
import { openHttp } from "../support/process/http-wire.js";
import { startProgram } from "../support/process/program.js";
import {
  BIN,
  FREE_PORTS,
  makeFolder,
  ROOT,
  type Server,
  serverOf,
} from "../support/process/server.js";
import { without } from "../support/process/tools.js";
import { done, type Wire } from "../support/process/wire.js";
import { EARLY_ANSWERS } from "./controls.js";
import { checkOrder } from "./order.js";
import { readTrace, type Timed, tracer } from "./trace.js";

/** What a server under `strace` did while `work` used it. */
async function traced(
  t: TestContext,
  env: Readonly<Record<string, string>>,
  work: (server: Server) => Promise<void>,
): Promise<Timed[]> {
  const folder = await makeFolder(t);
  const trace = join(folder, "trace");
  const settings = { ...FREE_PORTS, ...env, LATCHKEY_STORE: `sqlite:${folder}/latchkey.db` };
  const [command = "", ...args] = [...tracer(trace), process.execPath, BIN, "serve"];
  const program = startProgram(t, {
    ...{ argv: [command, ...args], cwd: ROOT, env: settings, hasChildren: true },
  });
  await work(await serverOf(program, settings));
  // To the server: a tracer takes no signals.
  process.kill(-(program.pid ?? assert.fail()), "SIGTERM");
  await program.end;
  return readTrace(await readFile(trace, "utf8"), folder);
}

/** Of the last of the calls that are made one by one. */
const LAST = "mark-999.";

/** Every kind of write, one at a time. */
async function oneByOne({ http }: Server): Promise<void> {
  const wire = openHttp(http);
  for (let n = 0; n < 10; n++) {
    const { token } = done(await wire.create(`user ${n}`, { mark: `mark-${n}.` }));
    done(await wire.update(token, { mark: `mark-${100 + n}.` }));
    const rotated = done(await wire.rotate(token));
    if (n % 2 === 0) done(await wire.delete(rotated.token));
    else done(await wire.deleteUser(`user ${n}`));
  }
  const { token } = done(await wire.create("last", {}));
  done(await wire.update(token, { mark: LAST }));
  wire.close();
}

/** Marked writes, many at a time, over both wires. */
async function manyAtOnce({ http, grpc }: Server): Promise<void> {
  const wires: readonly Wire[] = [openHttp(http, 6), openGrpc(grpc)];
  let marks = 1_000;
  const work = async (wire: Wire) => {
    const { token } = done(await wire.create("ann", { mark: `mark-${marks++}.` }));
    for (let n = 0; n < 12; n++) done(await wire.update(token, { mark: `mark-${marks++}.` }));
  };
  await Promise.all(wires.flatMap((wire) => Array.from({ length: 6 }, () => work(wire))));
  for (const wire of wires) wire.close();
}

describe("a server under strace", { skip: without("strace") }, () => {
  test("answers no write before its log is synced", async (t) => {
    const steps = await traced(t, {}, async (server) => {
      await oneByOne(server);
      await manyAtOnce(server);
    });
    const last = steps.findIndex(
      ({ what, ...step }) => what === "answer" && "data" in step && step.data.includes(LAST),
    );
    const one = checkOrder(steps.slice(0, last + 1), { isSequential: true });
    assert.deepEqual(one.problems, []);
    assert.ok(one.answers >= 40 && one.commits >= 40, JSON.stringify(one));
    const many = checkOrder(steps, { isSequential: false });
    assert.deepEqual(many.problems, []);
    assert.ok(many.answers > one.answers && many.commits > one.commits, JSON.stringify(many));
  });

  test("is found out if it answers before that", async (t) => {
    const steps = await traced(t, EARLY_ANSWERS, manyAtOnce);
    assert.ok(checkOrder(steps, { isSequential: false }).problems.length > 0);
  });
});

const hex = (bytes: Buffer) => bytes.toString("hex").replace(/../g, "\\x$&");

/** A transaction, its sync and its answer, as strace tells of them. */
function transaction(mark: string, answered: "before" | "after") {
  const header = Buffer.alloc(24);
  header.writeUInt32BE(7, 4);
  const log = `5<${hex(Buffer.from("/data/a.db-wal"))}>`;
  const page = hex(Buffer.from(`page with ${mark} `));
  const answer = `10 write(9<${hex(Buffer.from("TCP:[1->2]"))}>, "${hex(Buffer.from(`{"${mark}"}`))}", 9) = 9`;
  return [
    `11 pwrite64(${log}, "${hex(header)}", 24, 32) = 24`,
    `11 pwrite64(${log}, "${page}", 18, 56) = 18`,
    `11 fsync(${log} <unfinished ...>`,
    ...(answered === "before" ? [answer] : []),
    "11 <... fsync resumed>) = 0",
    ...(answered === "after" ? [answer] : []),
  ];
}

test("an answer during the sync is one before it", () => {
  for (const isSequential of [true, false]) {
    const check = (...parts: string[][]) =>
      checkOrder(readTrace(parts.flat().join("\n"), "/data"), { isSequential });
    const good = check(transaction("mark-1.", "after"), transaction("mark-2.", "after"));
    assert.deepEqual(good, { answers: 2, commits: 2, problems: [] });
    const bad = check(transaction("mark-1.", "after"), transaction("mark-2.", "before"));
    assert.equal(bad.problems.length, isSequential ? 2 : 1);
  }
});

test("a sync that fails is none", () => {
  const lines = transaction("mark-1.", "after").map((line) =>
    line.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error) (INJECTED)"),
  );
  const { problems } = checkOrder(readTrace(lines.join("\n"), "/data"), { isSequential: false });
  assert.deepEqual(problems, ["line 5: mark-1. is answered, not synced"]);
});
