import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Client } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { eventually } from "../../support/eventually.js";
import { createRandom, numberOf, type Random, seedOf } from "../../support/random.js";
import {
  SECOND,
  type StoreKind,
  startServer,
  type TestServer,
} from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";
import { startTireless } from "./tireless.js";

/** `npm run torture -- watch` makes 50,000, with 200 cuts. */
const MUTATIONS = numberOf("TEST_WATCH_MUTATIONS", 2_000);
const CUTS = Math.min(200, MUTATIONS / 50);
/** Real milliseconds for watchers to catch up, on a machine that has other things to do. */
const PATIENCE = 120_000;
const ROUNDS = 20;
const WORKERS = 24;
const USERS_OF_WORKER = 4;
const APP = "shop";

interface Known {
  readonly id: string;
  readonly token: string;
  readonly userId: string;
  /** How it ends when the clock moves on; empty: not at all. */
  readonly expiry: "IDLE" | "ABSOLUTE" | "";
}

/** Creates, changes and ends sessions, and knows which live and why the others ended. */
function createMutations(random: Random) {
  const live = new Map<string, Known>();
  const ended = new Map<string, string>();
  let done = 0;

  const end = (one: Known, reason: string) => {
    live.delete(one.id);
    ended.set(one.id, reason);
  };

  const create = async (client: Client<typeof SessionService>, userId: string) => {
    const expiry = (["", "", "", "IDLE", "ABSOLUTE"] as const)[random(5)] ?? "";
    const short = { seconds: 10n };
    const { token, session } = await client.createSession({
      ...{ app: APP, userId },
      idleTtl: expiry === "IDLE" ? short : { seconds: 86_400n },
      ...(expiry === "ABSOLUTE" ? { absoluteTtl: short } : {}),
    });
    const id = session?.sessionId ?? assert.fail();
    live.set(id, { id, token, userId, expiry });
  };

  const mutate = async (client: Client<typeof SessionService>, worker: number) => {
    const userId = `${worker}-${random(USERS_OF_WORKER)}`;
    // Nobody else touches this user, so what follows is certain.
    const own = [...live.values()].filter((one) => one.userId === userId);
    const one = own[random(own.length || 1)];
    const choice = random(100);
    if (!one || choice < 40) {
      await create(client, userId);
    } else if (choice < 70) {
      await client.updateSession({ app: APP, token: one.token, data: { n: choice } });
    } else if (choice < 75) {
      await client.extendSession({ app: APP, token: one.token, idleTtl: { seconds: 10n } });
      live.set(one.id, { ...one, expiry: one.expiry || "IDLE" });
    } else if (choice < 97) {
      const target =
        choice % 2 === 0
          ? ({ case: "token", value: one.token } as const)
          : ({ case: "sessionId", value: one.id } as const);
      await client.deleteSession({ app: APP, target });
      end(one, "DELETED");
    } else {
      const keep = { case: "keepSessionId", value: one.id } as const;
      await client.deleteUserSessions({ app: APP, userId, ...(choice === 97 ? { keep } : {}) });
      for (const each of own) if (choice !== 97 || each !== one) end(each, "USER");
    }
    done++;
  };

  return {
    live,
    ended,
    done: () => done,
    /** So many mutations, by all workers at once. */
    round: (client: Client<typeof SessionService>, count: number) =>
      Promise.all(
        Array.from({ length: WORKERS }, async (_, worker) => {
          for (let n = worker; n < count; n += WORKERS) await mutate(client, worker);
        }),
      ),
    /** The clock has passed every short deadline. */
    expire() {
      for (const one of [...live.values()]) if (one.expiry) end(one, one.expiry);
    },
    async endAll(client: Client<typeof SessionService>) {
      await client.deleteAppSessions({ app: APP });
      for (const one of [...live.values()]) end(one, "APP");
    },
  };
}

/** Watches while sessions change; the server is started anew after each of `restarts` rounds. */
async function torture(t: TestContext, store: StoreKind, restarts: readonly number[]) {
  const random = createRandom(seedOf(t));
  const folder = mkdtempSync(join(tmpdir(), "latchkey-watch-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "latchkey.db");
  const settings = store === "sqlite" ? { store: { scheme: "sqlite" as const, path } } : {};
  const mutations = createMutations(random);
  let elapsed = 0;
  let server: TestServer | null = null;
  const open = async () => {
    server = await startServer(store, "silent", settings);
    server.clock.advance(elapsed);
    return server;
  };
  let current = await open();
  let wire = openWire("gRPC", current);

  /** Events, at random, from one cut to the next. */
  const stretch = () => 1 + random((1.8 * MUTATIONS) / CUTS);
  let left = stretch();
  const mustCut = () => {
    if (--left > 0) return false;
    left = stretch();
    return true;
  };
  const at = () => server;
  const watch = (userId: string, cut: () => boolean) =>
    startTireless({ app: APP, userId, server: at, mustCut: cut, random });
  const whole = watch("", mustCut);
  const steady = watch("", () => false);
  const ofUsers = ["0-0", "1-1"].map((userId) => watch(userId, () => random(50) === 0));
  const watchers = [whole, steady, ...ofUsers];
  t.after(async () => {
    wire.close();
    for (const watcher of watchers) await watcher.stop().catch(() => undefined);
    await server?.close();
  });

  for (let round = 0; round < ROUNDS; round++) {
    await mutations.round(wire.client(SessionService), Math.ceil(MUTATIONS / ROUNDS));
    if (round === ROUNDS / 2) await mutations.endAll(wire.client(SessionService));
    for (const watcher of watchers) watcher.check();
    elapsed += 15 * SECOND;
    current.clock.advance(15 * SECOND);
    mutations.expire();
    if (!restarts.includes(round)) continue;
    wire.close();
    const stopping = current;
    server = null;
    await stopping.close();
    current = await open();
    wire = openWire("gRPC", current);
  }

  const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>) =>
    a.size === b.size && [...a].every((one) => b.has(one));
  const expected = new Set(mutations.live.keys());
  await eventually(
    "the end of what was missed",
    () => {
      for (const watcher of watchers) watcher.check();
      return [whole, steady].every(({ live }) => isSame(live, expected));
    },
    PATIENCE,
  );
  const listed = new Set<string>();
  for (let pageToken = "", more = true; more; more = pageToken !== "") {
    const page = await wire
      .client(SessionService)
      .listSessions({ app: APP, pageSize: 1_000, pageToken });
    for (const { sessionId } of page.sessions) listed.add(sessionId);
    pageToken = page.nextPageToken;
  }
  assert.ok(isSame(listed, expected), "the watchers and the model agree with a list");
  await eventually(
    "the ends of users' sessions",
    () => ofUsers.every(({ live }) => [...live].every((id) => expected.has(id))),
    PATIENCE,
  );
  for (const watcher of watchers) await watcher.stop();

  for (const { ended, resets } of [whole, steady]) {
    assert.deepEqual(new Map([...ended].toSorted()), new Map([...mutations.ended].toSorted()));
    assert.equal(resets(), 0);
  }
  for (const { ended, resets } of ofUsers) {
    assert.ok(ended.size > 0);
    for (const [id, reason] of ended) assert.equal(reason, mutations.ended.get(id));
    assert.equal(resets(), 0);
  }
  const reasons = new Set(mutations.ended.values());
  assert.deepEqual([...reasons].toSorted(), ["ABSOLUTE", "APP", "DELETED", "IDLE", "USER"]);
  t.diagnostic(
    `${mutations.done()} mutations, ${mutations.ended.size} ends, ${whole.cuts()} cuts of one watcher`,
  );
  assert.ok(whole.cuts() >= CUTS, `only ${whole.cuts()} cuts`);
}

test("a watcher that is cut again and again misses nothing and sees no end twice, in memory", (t) =>
  torture(t, "memory", []));

test("a watcher that is cut again and again misses nothing, in SQLite and over restarts", (t) =>
  torture(t, "sqlite", [3, 4, 9, 13, 17]));
