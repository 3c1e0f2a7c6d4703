import { promisify } from "node:util";
import { type Case, sessionOf } from "./case.js";

const whether = (set: string | undefined) => set !== undefined;

/** How sessions begin, go on and end. */
export const LIFE_CASES: readonly Case[] = [
  {
    title: "a login regenerates the session, and a logout ends it",
    routes(app) {
      app.get("/login", (req, res, next) => {
        req.session.regenerate((error) => {
          if (error) return next(error);
          sessionOf(req).userId = "ann";
          req.session.save((failed) => (failed ? next(failed) : res.redirect("/data")));
        });
      });
      app.get("/logout", (req, res, next) => {
        req.session.destroy((error) => (error ? next(error) : res.redirect("/data")));
      });
    },
    async visit(browser, { store }) {
      await browser.get("/set/cart/tea");
      const before = browser.fork();
      const login = await browser.json("/login");
      const loggedIn = browser.fork();
      const isOther = browser.id() !== before.id();
      const old = await before.data();
      const logout = await browser.json("/logout");
      const length = await promisify(store.length.bind(store) as never)();
      return { isOther, login, old, logout, again: await loggedIn.data(), length };
    },
    expected: {
      isOther: true,
      login: { userId: "ann" },
      old: {},
      logout: {},
      again: {},
      length: 0,
    },
  },
  {
    title: "a login without regenerate keeps the session's id",
    async visit(browser) {
      await browser.get("/set/cart/tea");
      const before = browser.fork();
      await browser.get("/set/userId/ann");
      return {
        isSame: browser.id() === before.id(),
        data: await browser.data(),
        before: await before.data(),
      };
    },
    expected: {
      isSame: true,
      data: { cart: "tea", userId: "ann" },
      before: { cart: "tea", userId: "ann" },
    },
    differs: {
      LatchkeyStore: {
        reason: "the session moves to a new id, and the old one opens nothing",
        expected: { isSame: false, data: { cart: "tea", userId: "ann" }, before: {} },
      },
    },
  },
  {
    title: "reload takes back what was not saved, and save keeps what was",
    routes(app) {
      app.get("/reload", (req, res, next) => {
        sessionOf(req).n = 1;
        req.session.reload((error) => (error ? next(error) : res.json(sessionOf(req).n ?? null)));
      });
      app.get("/save", (req, res, next) => {
        sessionOf(req).n = 2;
        req.session.save((error) => {
          if (error) return next(error);
          sessionOf(req).n = 3;
          req.session.reload((failed) => (failed ? next(failed) : res.json(sessionOf(req).n)));
        });
      });
    },
    async visit(browser) {
      await browser.get("/set/n/0");
      return [await browser.json("/reload"), await browser.json("/save"), await browser.data()];
    },
    expected: ["0", 2, { n: 2 }],
  },
  {
    title: "reload of a session that was destroyed fails, and the app says so",
    routes(app) {
      app.get("/reload", (req, res) => {
        const { session } = req;
        req.sessionStore.destroy(req.sessionID, () => {
          session.reload((error) => res.send(error ? "failed" : "reloaded"));
        });
      });
    },
    async visit(browser) {
      await browser.get("/set/n/0");
      return browser.text("/reload");
    },
    expected: "failed",
  },
  {
    title: "an anonymous visitor has no session until something is put into it",
    async visit(browser, { store }) {
      const before = await browser.get("/data");
      const length = await promisify(store.length.bind(store) as never)();
      return [whether(before.set), length, whether((await browser.get("/set/n/1")).set)];
    },
    expected: [false, 0, true],
  },
  {
    title: "with saveUninitialized each new visitor has a session",
    options: { saveUninitialized: true },
    async visit(browser, { store }) {
      const { set } = await browser.get("/data");
      await browser.get("/data");
      return [whether(set), await promisify(store.length.bind(store) as never)()];
    },
    expected: [true, 1],
  },
  {
    title: "with resave and rolling each response has the cookie, and nothing is lost",
    options: { resave: true, rolling: true },
    async visit(browser) {
      const sets = [];
      for (const path of ["/set/n/1", "/data", "/data"]) {
        sets.push(whether((await browser.get(path)).set));
      }
      return [sets, await browser.data()];
    },
    expected: [[true, true, true], { n: "1" }],
  },
  {
    title: "without rolling a response has the cookie if the session changed",
    async visit(browser) {
      const sets = [];
      for (const path of ["/set/n/1", "/data", "/set/n/2", "/data"]) {
        sets.push(whether((await browser.get(path)).set));
      }
      return sets;
    },
    expected: [true, false, true, false],
  },
  {
    title: "with unset: keep a session that is set to null stays",
    routes(app) {
      app.get("/unset", (req, res) => {
        Reflect.set(req, "session", null);
        res.redirect("/data");
      });
    },
    async visit(browser) {
      await browser.get("/set/n/1");
      return browser.json("/unset");
    },
    expected: { n: "1" },
  },
  {
    title: "touch and resetMaxAge renew the cookie's time and change nothing else",
    options: { rolling: true },
    routes(app) {
      app.get("/touch", (req, res) => {
        const begin = Date.now();
        req.session.touch();
        req.session.resetMaxAge();
        const { expires } = req.session.cookie;
        res.json(expires instanceof Date && expires.getTime() >= begin + 590_000);
      });
    },
    async visit(browser) {
      await browser.get("/set/n/1");
      const { text, set } = await browser.get("/touch");
      return [text, whether(set), await browser.data()];
    },
    expected: ["true", true, { n: "1" }],
  },
];
