import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import {
  type Connection,
  type Connections,
  createConnections,
  REMEMBERED_CALLERS,
} from "../../../src/services/access/connections.js";
import { type Accounts, createAccounts } from "../../support/plain-accounts.js";

const SILENT = { warn: () => {} };

/** Runs: TEST_RUNS, or a few hundred. */
const RUNS = Number(process.env["TEST_RUNS"] ?? 300);

/** More accounts than one connection remembers; some keys expire. */
const ACCOUNTS = Array.from({ length: REMEMBERED_CALLERS + 3 }, (_, index) => ({
  name: `account-${index}`,
  key: `lk_${index}`,
  expiresAt: index % 6 === 0 ? 5 + index : Number.POSITIVE_INFINITY,
}));

interface ModelCaller {
  readonly name: string;
  readonly id: string;
  readonly createdAt: number;
  lastAccessedAt: number;
}

interface ModelConnection {
  readonly id: string;
  readonly address: string;
  isIdUsed: boolean;
  /** In the order of their sessions. */
  callers: ModelCaller[];
  /** The names of its callers, the longest unused first. */
  used: string[];
}

/** What the connections should be, in the simplest terms. */
interface Model {
  now: number;
  ids: number;
  readonly ended: Map<string, "account" | "credentials">;
  /** Null: closed. */
  readonly connections: (ModelConnection | null)[];
  /** Connections that had to be ended. */
  readonly cut: number[];
}

interface Real {
  readonly clock: { at: number };
  readonly accounts: Accounts;
  readonly service: Connections;
  readonly connections: Connection[];
  readonly cut: number[];
}

type Step = fc.Command<Model, Real>;

function step(text: string, run: (model: Model, real: Real) => void): Step {
  return {
    check: () => true,
    run(model, real) {
      run(model, real);
      assertSame(model, real);
    },
    toString: () => text,
  };
}

function assertSame(model: Model, real: Real): void {
  const expected = model.connections.flatMap((connection) =>
    (connection?.callers ?? []).map(({ name, ...session }) => ({
      ...session,
      address: connection?.address,
      transport: "grpc",
      account: real.accounts.get(name),
    })),
  );
  assert.deepEqual(real.service.list(), expected);
  assert.deepEqual(real.cut, model.cut);
}

const newId = (model: Model, address: string) => `${++model.ids}-${address}`;

const open = step("open", (model, real) => {
  const index = real.connections.length;
  const address = `127.0.0.1:${index}`;
  const end = () => real.cut.push(index);
  const connection = real.service.open({ transport: "grpc", address, end });
  real.connections.push(connection);
  const id = newId(model, address);
  assert.equal(connection.id, id);
  model.connections.push({ id, address, isIdUsed: false, callers: [], used: [] });
});

/** Picks one of those opened so far, if there are any. */
const pick = (real: Real, choice: number) =>
  real.connections.length === 0 ? null : choice % real.connections.length;

const identify = (choice: number, account: number) =>
  step(`identify(${choice}, ${account})`, (model, real) => {
    const index = pick(real, choice);
    const { name, key, expiresAt } = ACCOUNTS[account] ?? { name: "", key: "", expiresAt: 0 };
    if (index === null) return;
    const call = () => real.connections[index]?.identify(`Bearer ${key}`);
    const connection = model.connections[index];
    const known = connection?.callers.find((caller) => caller.name === name);
    const isValid = model.now < expiresAt && (known || !model.ended.has(name));
    if (!connection || !isValid) {
      if (connection) forget(connection, name);
      assert.throws(call, (error) => error instanceof LatchkeyError);
      return;
    }
    const session = call();
    const caller = known ?? begin(model, connection, name);
    caller.lastAccessedAt = Math.max(caller.lastAccessedAt, model.now);
    connection.used = [...connection.used.filter((other) => other !== name), name];
    const [longest] = connection.used;
    if (connection.used.length > REMEMBERED_CALLERS && longest) forget(connection, longest);
    assert.ok(session && !(session instanceof Promise));
    assert.equal(session.id, caller.id);
    assert.equal(session.account.name, name);
  });

function begin(model: Model, connection: ModelConnection, name: string): ModelCaller {
  const id = connection.isIdUsed ? newId(model, connection.address) : connection.id;
  connection.isIdUsed = true;
  const caller = { name, id, createdAt: model.now, lastAccessedAt: model.now };
  connection.callers.push(caller);
  return caller;
}

function forget(connection: ModelConnection, name: string): void {
  connection.callers = connection.callers.filter((caller) => caller.name !== name);
  connection.used = connection.used.filter((other) => other !== name);
}

const close = (choice: number) =>
  step(`close(${choice})`, (model, real) => {
    const index = pick(real, choice);
    if (index === null) return;
    real.connections[index]?.close();
    model.connections[index] = null;
  });

const end = (account: number, what: "account" | "credentials") =>
  step(`end(${account}, ${what})`, (model, real) => {
    const { name = "" } = ACCOUNTS[account] ?? {};
    if (what === "account") real.accounts.remove(name);
    else real.accounts.endCredentials(name);
    model.ended.set(name, what);
  });

const review = step("review", (model, real) => {
  real.service.review();
  for (const [index, connection] of model.connections.entries()) {
    if (!connection) continue;
    const standings = connection.callers.map(({ name }) => model.ended.get(name));
    // Of a connection on which others call, too, only the ended callers are forgotten.
    if (standings.includes("account") && !standings.includes(undefined)) {
      model.connections[index] = null;
      model.cut.push(index);
    } else {
      for (const { name } of connection.callers) {
        if (model.ended.has(name)) forget(connection, name);
      }
    }
  }
});

const advance = (by: number) =>
  step(`advance(${by})`, (model, real) => {
    model.now += by;
    real.clock.at = model.now;
  });

const choice = fc.nat({ max: 3 });
const account = fc.nat({ max: ACCOUNTS.length - 1 });
const what = fc.constantFrom<("account" | "credentials")[]>("account", "credentials");
// Mostly calls on one connection, so that it comes to forget some.
const calls = Array.from({ length: 12 }, () => account.map((one) => identify(0, one)));
const steps = fc.commands(
  [
    ...calls,
    fc.tuple(choice, account).map((args) => identify(...args)),
    fc.constantFrom(open, review),
    fc.oneof(
      choice.map(close),
      fc.tuple(account, what).map((args) => end(...args)),
      fc.integer({ min: -2, max: 6 }).map(advance),
    ),
  ],
  { maxCommands: 150, size: "max" },
);

test("connections know who calls as a plain model of them does", () => {
  fc.assert(
    fc.property(steps, (commands) => {
      const setup = () => {
        const clock = { at: 0 };
        const now = () => clock.at;
        const accounts = createAccounts();
        for (const { name, key, expiresAt } of ACCOUNTS) {
          accounts.add(name, "User", { key, expiresAt });
        }
        const service = createConnections({
          authentication: accounts.authentication(now),
          now,
          logger: SILENT,
        });
        const model: Model = { now: 0, ids: 0, ended: new Map(), connections: [], cut: [] };
        return { model, real: { clock, accounts, service, connections: [], cut: [] } };
      };
      fc.modelRun(setup, commands);
    }),
    { numRuns: RUNS },
  );
});
