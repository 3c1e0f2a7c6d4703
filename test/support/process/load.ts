import type { Random } from "../random.js";
import { openGrpc } from "./grpc-wire.js";
import { openHttp } from "./http-wire.js";
import { type Known, type Model, unknown, updateOf } from "./model.js";
import type { Outcome, Wire } from "./wire.js";

const HTTP_WORKERS = 16;
const GRPC_WORKERS = 6;

/** About how many sessions the load keeps alive. */
const SESSIONS = 120;

/** How many sessions a user has at most. */
const SESSIONS_OF_USER = 3;

export interface Load {
  /** Calls that were answered so far. */
  answered(): number;
  /** Settles when so many more calls were answered, or the load ends. */
  more(calls: number): Promise<void>;
  /** Lets every worker finish its call and end. */
  stop(): void;
  /** Settles when all workers have ended: by `stop`, or each by the first call that had no
   * answer. Its value is every answer that contradicted the model. */
  readonly end: Promise<string[]>;
}

/**
 * Creates, updates, reads, rotates and deletes sessions, one or all of a user,
 * over both wires, many calls at a time, and keeps the model of what was answered.
 */
export function startLoad(
  server: { readonly http: string; readonly grpc: string },
  model: Model,
  random: Random,
): Load {
  const wires = [openHttp(server.http, HTTP_WORKERS), openGrpc(server.grpc)] as const;
  const open = [...model.values()].filter((known) => known.presence === "there" && known.token);
  const problems: string[] = [];
  const waiting = new Set<() => void>();
  /** How many creations of a user's sessions are under way, and whose sessions are made next. */
  const creating = new Map<string, number>();
  const rotating = new Set<Known>();
  /** Users all of whose sessions were to be ended. */
  const endedUsers = new Set<string>();
  let user = "";
  let ofUser = SESSIONS_OF_USER;
  let answered = 0;
  let stopped = false;

  const answer = <T>(outcome: Outcome<T>): outcome is Exclude<Outcome<T>, "unanswered"> => {
    if (outcome === "unanswered") return false;
    answered++;
    for (const check of waiting) check();
    return true;
  };

  const createOne = async (wire: Wire): Promise<boolean> => {
    const n = model.size;
    if (ofUser === SESSIONS_OF_USER) {
      user = `user ${n}`;
      ofUser = 0;
    }
    ofUser++;
    const known = unknown(n, user);
    const { name } = known;
    model.set(name, known);
    creating.set(known.user, (creating.get(known.user) ?? 0) + 1);
    const outcome = await wire.create(known.user, { n });
    if (!answer(outcome)) return false;
    creating.set(known.user, (creating.get(known.user) ?? 0) - 1);
    if (outcome === "absent") {
      problems.push(`${name}: its create answered that it is absent`);
      return true;
    }
    known.token = outcome.done.token;
    known.presence = "there";
    open.push(known);
    return true;
  };

  const updateOne = async (wire: Wire, known: Known, key: string): Promise<boolean> => {
    const counter = known.counters.get(key) ?? { answered: 0, sent: 0 };
    known.counters.set(key, counter);
    counter.sent++;
    const outcome = await wire.update(known.token, updateOf(key, counter.sent));
    if (!answer(outcome)) return false;
    if (outcome === "absent") {
      expectEnding(known, "update");
      return true;
    }
    counter.answered = counter.sent;
    if (outcome.done[key] !== counter.sent) {
      problems.push(`${known.name}: the update of ${key} answered ${outcome.done[key]}`);
    }
    return true;
  };

  const readOne = async (wire: Wire, known: Known): Promise<boolean> => {
    const outcome = await wire.read(known.token);
    if (!answer(outcome)) return false;
    if (outcome === "absent") expectEnding(known, "read");
    else known.reads++;
    return true;
  };

  const rotateOne = async (wire: Wire, known: Known): Promise<boolean> => {
    // A token that is rotated already is refused another rotation.
    if (rotating.has(known)) return true;
    rotating.add(known);
    known.rotations.sent++;
    const outcome = await wire.rotate(known.token);
    if (!answer(outcome)) return false;
    rotating.delete(known);
    if (outcome === "absent") {
      expectEnding(known, "rotation");
      return true;
    }
    known.rotations.answered++;
    known.token = outcome.done.token;
    return true;
  };

  const deleteOne = async (wire: Wire, known: Known): Promise<boolean> => {
    open.splice(open.indexOf(known), 1);
    known.presence = "ending";
    const outcome = await wire.delete(known.token);
    if (!answer(outcome)) return false;
    known.presence = "ended";
    if (outcome === "absent" && !endedUsers.has(known.user)) {
      problems.push(`${known.name}: it was gone before its delete`);
    }
    return true;
  };

  const deleteUser = async (wire: Wire, { user: whose }: Known): Promise<boolean> => {
    // Whether it meets a session that is being created, nobody could say.
    if (whose === user || creating.get(whose)) return true;
    endedUsers.add(whose);
    // Also those whose tokens nobody has.
    const ending = [...model.values()].filter(
      (known) => known.user === whose && known.presence === "there",
    );
    for (const known of ending) {
      const index = open.indexOf(known);
      if (index >= 0) open.splice(index, 1);
      known.presence = "ending";
      known.endsWithUser = true;
    }
    if (!answer(await wire.deleteUser(whose))) return false;
    for (const known of ending) known.presence = "ended";
    return true;
  };

  const expectEnding = (known: Known, call: string) => {
    if (known.presence === "there") problems.push(`${known.name}: a ${call} did not find it`);
  };

  const work = async (wire: Wire, key: string) => {
    try {
      while (!stopped) {
        const known = open[random(Math.max(1, open.length))];
        const choice = random(100);
        let goesOn: boolean;
        if (!known || choice < 25) goesOn = await createOne(wire);
        else if (choice < 40) goesOn = await readOne(wire, known);
        else if (choice < 45) goesOn = await rotateOne(wire, known);
        else if (choice < 60 && open.length > SESSIONS) goesOn = await deleteOne(wire, known);
        else if (choice < 65 && open.length > SESSIONS) goesOn = await deleteUser(wire, known);
        else goesOn = await updateOne(wire, known, key);
        if (!goesOn) return;
      }
    } catch (error) {
      problems.push(`${key}: ${error}`);
    }
  };

  const workers = wires.flatMap((wire, index) =>
    Array.from({ length: index === 0 ? HTTP_WORKERS : GRPC_WORKERS }, (_, number) =>
      work(wire, `${index === 0 ? "http" : "grpc"}${number}`),
    ),
  );
  const end = Promise.all(workers).then(() => {
    for (const wire of wires) wire.close();
    return problems;
  });

  return {
    answered: () => answered,
    more(calls) {
      const goal = answered + calls;
      const reached = new Promise<void>((resolve) => {
        const check = () => {
          if (answered < goal) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
      });
      return Promise.race([reached, end.then(() => undefined)]);
    },
    stop() {
      stopped = true;
    },
    end,
  };
}
