import { type Case, sessionOf } from "./case.js";

const KEYS = { "": 1, "a.b": 2, $json: "text", 한글: 3 };

/** What apps put into sessions. */
export const CONTENT_CASES: readonly Case[] = [
  {
    title: "views are counted for each path, as in express-session's README",
    routes(app) {
      app.use((req, _res, next) => {
        const visitor = sessionOf(req);
        visitor.views ??= {};
        visitor.views[req.path] = (visitor.views[req.path] ?? 0) + 1;
        next();
      });
      for (const path of ["/foo", "/bar"]) {
        app.get(path, (req, res) => {
          res.send(`you viewed this page ${sessionOf(req).views?.[path]} times`);
        });
      }
    },
    async visit(browser) {
      const texts = [];
      for (const path of ["/foo", "/foo", "/bar", "/foo"]) texts.push(await browser.text(path));
      return texts.map((text) => /\d+/.exec(text)?.[0]);
    },
    expected: ["1", "2", "1", "3"],
  },
  {
    title: "changes inside a value are kept",
    routes(app) {
      app.get("/fill", (req, res) => {
        Object.assign(sessionOf(req), { n: 0, cart: ["tea"], deep: { a: { b: [1] } } });
        res.send("filled");
      });
      app.get("/change", (req, res) => {
        const visitor = sessionOf(req);
        visitor.n = (visitor.n ?? 0) + 1;
        visitor.cart?.push({ name: "milk" });
        visitor.deep?.a.b.splice(0, 1, 2, 3);
        res.send("changed");
      });
      app.get("/remove", (req, res) => {
        const visitor = sessionOf(req);
        delete visitor.n;
        Reflect.deleteProperty(visitor.deep ?? {}, "a");
        res.send("removed");
      });
    },
    async visit(browser) {
      const outcomes = [];
      for (const path of ["/fill", "/change", "/change", "/remove"]) {
        await browser.get(path);
        outcomes.push(await browser.data());
      }
      return outcomes;
    },
    expected: [
      { n: 0, cart: ["tea"], deep: { a: { b: [1] } } },
      { n: 1, cart: ["tea", { name: "milk" }], deep: { a: { b: [2, 3] } } },
      {
        n: 2,
        cart: ["tea", { name: "milk" }, { name: "milk" }],
        deep: { a: { b: [2, 3, 3] } },
      },
      { cart: ["tea", { name: "milk" }, { name: "milk" }], deep: {} },
    ],
  },
  {
    title: "a Buffer, a Date, null, NaN and undefined come back as JSON has them",
    routes(app) {
      app.get("/fill", (req, res) => {
        Object.assign(sessionOf(req), {
          bytes: Buffer.from("ab"),
          at: new Date(0),
          nothing: null,
          inner: { nothing: null, list: [null, undefined, Number.NaN] },
          nan: Number.NaN,
          missing: undefined,
          half: "\ud83d",
          text: "한글 😀",
        });
        res.send("filled");
      });
    },
    async visit(browser) {
      await browser.get("/fill");
      return browser.data();
    },
    expected: {
      bytes: { type: "Buffer", data: [97, 98] },
      at: "1970-01-01T00:00:00.000Z",
      nothing: null,
      inner: { nothing: null, list: [null, null, null] },
      nan: null,
      half: "\ud83d",
      text: "한글 😀",
    },
  },
  {
    title: "a key may have any name",
    routes(app) {
      app.get("/fill", (req, res) => {
        Object.assign(sessionOf(req), KEYS);
        res.send("filled");
      });
    },
    async visit(browser) {
      await browser.get("/fill");
      return browser.data();
    },
    expected: KEYS,
  },
  {
    title: "a session holds 100,000 characters",
    routes(app) {
      app.get("/fill", (req, res) => {
        sessionOf(req)["text"] = "a".repeat(100_000);
        sessionOf(req).save((error) => res.send(error ? "refused" : "saved"));
      });
    },
    visit: (browser) => browser.text("/fill"),
    expected: "saved",
    differs: {
      LatchkeyStore: {
        reason: "the save fails: a session has at most 60,000 bytes of JSON",
        expected: "refused",
      },
    },
  },
  {
    title: "a userId may be of any type",
    routes(app) {
      app.get("/login", (req, res) => {
        Object.assign(sessionOf(req), { userId: { name: "ann" } });
        sessionOf(req).save((error) => res.send(error ? "refused" : "saved"));
      });
    },
    visit: (browser) => browser.text("/login"),
    expected: "saved",
    differs: {
      LatchkeyStore: {
        reason: "the save fails unless it is a user's id: text, an integer, a UUID or an ObjectId",
        expected: "refused",
      },
    },
  },
];
