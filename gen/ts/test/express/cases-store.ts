import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import type { SessionData } from "express-session";
import session from "express-session";
import { type Case, type Content, sessionOf } from "./case.js";
import { createGate } from "./gate.js";
import type { WholeStore } from "./stores.js";

const lengthOf = (store: WholeStore) => promisify(store.length.bind(store) as never)();
const allOf = (store: WholeStore): Promise<object> =>
  promisify<object>(store.all.bind(store) as never)();

/** Requests that have read the session, and go on when the gate opens. */
const gated = (
  change: (visitor: ReturnType<typeof sessionOf>) => void,
): Required<Pick<Case, "routes">> & { gate: () => ReturnType<typeof createGate> } => {
  let gate = createGate();
  return {
    gate: () => gate,
    routes(app) {
      gate = createGate();
      app.get("/slow", async (req, res) => {
        await gate.wait();
        change(sessionOf(req));
        res.send("done");
      });
    },
  };
};

/** What happens while a request that has read the session is under way. */
const during = (
  title: string,
  change: (visitor: ReturnType<typeof sessionOf>) => void,
  meanwhile: string,
  rest: Pick<Case, "expected" | "differs" | "options">,
): Case => {
  const { gate, routes } = gated(change);
  return {
    title,
    routes(app, opened) {
      routes(app, opened);
      app.get("/logout", (req, res) => req.session.destroy(() => res.send("out")));
    },
    async visit(browser) {
      await browser.get("/set/n/1");
      const slow = browser.fork().get("/slow");
      await gate().reached;
      await browser.get(meanwhile);
      gate().open();
      await slow;
      return browser.data();
    },
    ...rest,
  };
};

/** The store's own methods, and requests beside each other. */
export const STORE_CASES: readonly Case[] = [
  {
    title: "length and all are about all sessions, and clear ends them",
    async visit(browser, { store }) {
      const others = [browser.fork(), browser.fork()];
      for (const [n, other] of others.entries()) await other.get(`/set/n/${n}`);
      const all = Object.values(await allOf(store)) as Content[];
      const before = await lengthOf(store);
      await promisify(store.clear.bind(store))();
      const data = await Promise.all(others.map((other) => other.data()));
      return [all.map(({ n }) => n).sort(), before, await lengthOf(store), data];
    },
    expected: [["0", "1"], 2, 0, [{}, {}]],
  },
  {
    title: "all answers with a list",
    async visit(browser, { store }) {
      await browser.get("/set/n/1");
      return Array.isArray(await allOf(store));
    },
    expected: true,
    differs: {
      MemoryStore: { reason: "it answers with an object by id", expected: false },
    },
  },
  {
    title: "an id that nobody has opens nothing, and ending it is no error",
    async visit(_browser, { store }) {
      const id = "A".repeat(32);
      const found = await promisify<string, unknown>(store.get.bind(store))(id);
      await promisify<string>(store.destroy.bind(store))(id);
      return found ?? null;
    },
    expected: null,
  },
  {
    title: "what a program sets is what the browser has then",
    async visit(browser, { store }) {
      await browser.get("/set/n/1");
      const get = promisify<string, SessionData>(store.get.bind(store) as never);
      const { cookie } = await get(browser.id());
      const set = promisify<string, SessionData>(store.set.bind(store));
      await set(browser.id(), { cookie, other: [1] } as unknown as SessionData);
      const replaced = await browser.data();
      await set(randomUUID(), { cookie: new session.Cookie(), n: 1 } as unknown as SessionData);
      return [replaced, await lengthOf(store)];
    },
    expected: [{ other: [1] }, 2],
  },
  {
    title: "100 parallel requests that only read find the session",
    async visit(browser) {
      await browser.get("/set/n/1");
      const found = await Promise.all(Array.from({ length: 100 }, () => browser.data()));
      return found.filter(({ n }) => String(n) === "1").length;
    },
    expected: 100,
  },
  during(
    "two requests that change different keys: the last one's session is kept",
    (visitor) => {
      visitor["slow"] = true;
    },
    "/set/fast/yes",
    {
      expected: { n: "1", slow: true },
      differs: {
        LatchkeyStore: {
          reason: "both changes are kept",
          expected: { n: "1", slow: true, fast: "yes" },
        },
      },
    },
  ),
  during(
    "two requests that change the same key: the last one's value is kept",
    (visitor) => {
      visitor["key"] = "slow";
    },
    "/set/key/fast",
    { expected: { n: "1", key: "slow" } },
  ),
  during(
    "with resave a request that only reads takes others' changes back",
    () => undefined,
    "/set/n/2",
    {
      options: { resave: true },
      expected: { n: "1" },
      differs: {
        LatchkeyStore: { reason: "a save writes what its request changed", expected: { n: "2" } },
      },
    },
  ),
  during("a request that only reads takes nothing back", () => undefined, "/set/n/2", {
    expected: { n: "2" },
  }),
  during(
    "a request that saves after a logout revives the session",
    (visitor) => {
      visitor["slow"] = true;
    },
    "/logout",
    {
      expected: { n: "1", slow: true },
      differs: { LatchkeyStore: { reason: "the session stays ended", expected: {} } },
    },
  ),
  during("a request that only reads revives nothing after a logout", () => undefined, "/logout", {
    expected: {},
  }),
];
