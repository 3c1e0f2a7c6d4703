// A load that does not wait for the server: each call is due at an instant of its own, by its
// phase's rate, and its latency is counted from then, however late it can be sent. So a server
// that stalls is charged for all calls that were due meanwhile, where a load that waits for
// answers makes fewer calls and forgets those. A process of its own, which open-load.ts
// starts with the server's host and port and the wire as its arguments.
import { openGrpcConnection } from "./grpc-connection.js";
import { type HttpConnectionOptions, openHttpConnection } from "./http-connection.js";
import { requestOf } from "./http-requests.js";
import type { Phase, PhaseResult } from "./phase.js";
import { createSchedule, type Schedule } from "./schedule.js";
import { createTally, type Tally } from "./tally.js";
import { startTicker } from "./ticker.js";

/** What the process is sent: phases, each of which ends the one before, or the end of the last. */
export type LoadMessage = Phase | "end";
/** What it answers to each phase, when its calls are answered. */
export type LoadAnswer = { readonly result: PhaseResult } | { readonly error: string };

/** Milliseconds. */
const TICK = 0.25;
const ANSWER_MS = 10_000;
const RECONNECT_MS = 10;
/** Behind its schedule by so much, the load cannot be made. */
const BEHIND_MS = 30_000;

interface Run {
  readonly phase: Phase;
  readonly schedule: Schedule;
  readonly tally: Tally;
  /** Calls sent and not answered. */
  underWay: number;
  /** When its last call was sent; null while calls may follow. */
  endedAt: number | null;
}

/** A connection of either wire. */
interface Connection {
  /** Calls by the phase on session `n`; `unique` is another number in each call. */
  call(phase: Phase, n: number, unique: number): void;
  close(why: string): void;
}

interface Slot {
  readonly index: number;
  connection: Connection;
  isFree: boolean;
  freeSince: number;
  /** The phase of the call under way. */
  run: Run | null;
  due: number;
  sentAt: number;
}

const [, , host = "", port = "", wire = ""] = process.argv;
const slots: Slot[] = [];
/** Those that may send, the one that waits longest first. */
let free: Slot[] = [];
/** Phases with calls to send, the first being sent. */
const runs: Run[] = [];
let calls = 0;

const tell = (answer: LoadAnswer) => process.send?.(answer);

const settle = (run: Run) => {
  if (run.endedAt !== null && run.underWay === 0) tell({ result: run.tally.result(run.endedAt) });
};

const openSlot = (index: number): Slot => {
  const slot: Slot = {
    index,
    connection: connect(() => slot),
    isFree: false,
    freeSince: 0,
    run: null,
    due: 0,
    sentAt: 0,
  };
  return slot;
};

const open = (options: HttpConnectionOptions): Connection => {
  if (wire === "http") {
    const { send, close } = openHttpConnection(options);
    return {
      close,
      call: (phase, n, unique) => send(requestOf(phase, `${host}:${port}`, n, unique)),
    };
  }
  const { send, close } = openGrpcConnection(options);
  return {
    close,
    call({ message, headers = {} }) {
      if (message) send(message, headers);
    },
  };
};

const connect = (slotOf: () => Slot): Connection =>
  open({
    host,
    port: Number(port),
    onFree() {
      const slot = slotOf();
      slot.isFree = true;
      slot.freeSince = performance.now();
      if (slot.index < (runs[0]?.phase.connections ?? 0)) free.push(slot);
      pump();
    },
    onAnswer(answer) {
      const slot = slotOf();
      const { run } = slot;
      slot.run = null;
      if (!run) return;
      run.tally.answered(answer, slot.due, performance.now());
      run.underWay--;
      settle(run);
    },
    onClosed(reason) {
      const slot = slotOf();
      const { run } = slot;
      slot.run = null;
      slot.isFree = false;
      free = free.filter((one) => one !== slot);
      if (run) {
        run.tally.failed(reason);
        run.underWay--;
        settle(run);
      }
      setTimeout(() => {
        slot.connection = connect(slotOf);
      }, RECONNECT_MS);
    },
  });

/** Lets the first phase's connections send, and no others. */
const takeTurn = () => {
  const wanted = runs[0]?.phase.connections ?? 0;
  while (slots.length < wanted) slots.push(openSlot(slots.length));
  free = slots.filter(({ index, isFree }) => isFree && index < wanted);
};

const send = (slot: Slot, run: Run, due: number, now: number) => {
  const { phase, schedule, tally } = run;
  const number = schedule.take();
  // Which of them are called need not be the same from run to run.
  const n = phase.order === "each" ? number : Math.floor(Math.random() * phase.among);
  tally.sent(now - Math.max(due, slot.freeSince));
  slot.isFree = false;
  slot.run = run;
  slot.due = due;
  slot.sentAt = now;
  run.underWay++;
  slot.connection.call(phase, n, calls++);
};

/** Sends what is due. */
const pump = () => {
  for (let run = runs[0]; run !== undefined; run = runs[0]) {
    const now = performance.now();
    if (run.schedule.isOver(now)) {
      runs.shift();
      takeTurn();
      run.endedAt = now;
      settle(run);
      continue;
    }
    const due = run.schedule.due(now);
    if (due > now) return;
    const slot = free.shift();
    if (!slot) {
      if (run.phase.whenBusy === "withhold") run.tally.withheld(run.schedule.skip(now));
      else if (now - due > BEHIND_MS) fail("the server does not keep up with the load's rate");
      return;
    }
    send(slot, run, due, now);
  }
};

const fail = (error: string) => {
  tell({ error });
  process.disconnect();
  process.exit(1);
};

const giveUpSilent = () => {
  const latest = performance.now() - ANSWER_MS;
  for (const { run, sentAt, connection } of slots) {
    if (run && sentAt < latest) connection.close("no answer in 10 s");
  }
};

process.on("message", (message: LoadMessage) => {
  const now = performance.now();
  runs.at(-1)?.schedule.end(now);
  if (message !== "end") {
    const schedule = createSchedule(message, now);
    const tally = createTally(message, now);
    runs.push({ phase: message, schedule, tally, underWay: 0, endedAt: null });
    if (runs.length === 1) takeTurn();
  }
  pump();
});
process.once("disconnect", () => process.exit(0));
setInterval(giveUpSilent, 500);
startTicker(TICK, pump);
