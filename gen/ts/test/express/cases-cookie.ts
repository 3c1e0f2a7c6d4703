import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Request } from "express";
import type { SessionData } from "express-session";
import { type Case, sessionOf } from "./case.js";
import type { WholeStore } from "./stores.js";

/** Seconds; express-session sets the milliseconds anew at each touch, a few less on a slow machine. */
const ageOf = (req: Request) => {
  const { originalMaxAge } = req.session.cookie;
  return originalMaxAge === null ? null : Math.round(originalMaxAge / 1_000);
};

/** What the session's cookie has and decides. */
export const COOKIE_CASES: readonly Case[] = [
  {
    title: "a changed maxAge is kept along with other changes, null too",
    routes(app) {
      app.get("/age/:age", (req, res) => {
        const { age } = req.params;
        Object.assign(req.session.cookie, { maxAge: age === "null" ? null : Number(age) });
        sessionOf(req)["age"] = age;
        res.send("changed");
      });
      app.get("/age", (req, res) => res.json(ageOf(req)));
    },
    async visit(browser) {
      const outcomes = [];
      for (const age of ["3600000", "null", "60000"]) {
        const { set = "" } = await browser.get(`/age/${age}`);
        outcomes.push([/Expires=/.test(set), await browser.json("/age")]);
      }
      return outcomes;
    },
    expected: [
      [true, 3_600],
      [false, null],
      [true, 60],
    ],
  },
  {
    title: "a changed maxAge is kept when nothing else changes",
    routes(app) {
      app.get("/age/:age", (req, res) => {
        req.session.cookie.maxAge = Number(req.params.age);
        res.send("changed");
      });
      app.get("/age", (req, res) => res.json(ageOf(req)));
    },
    async visit(browser) {
      await browser.get("/set/n/1");
      await browser.get("/age/3600000");
      return browser.json("/age");
    },
    expected: 3_600,
    differs: {
      "connect-redis": {
        reason: "its touch renews the lifetime only",
        expected: 600,
      },
    },
  },
  {
    title: "a maxAge of 0 ends the session",
    routes(app) {
      app.get("/end", (req, res) => {
        req.session.cookie.maxAge = 0;
        sessionOf(req).n = 2;
        res.send("ended");
      });
    },
    async visit(browser) {
      await browser.get("/set/n/1");
      const before = browser.fork();
      await browser.get("/end");
      return before.data();
    },
    expected: {},
  },
  {
    title: "a session that is not visited ends with its cookie",
    options: { cookie: { maxAge: 1_000 } },
    async visit(browser, { store }) {
      await browser.get("/set/n/1");
      const begin = Date.now();
      while (await read(store, browser.id())) await sleep(20);
      const wasEarly = Date.now() - begin < 500;
      return [wasEarly, await browser.data()];
    },
    expected: [false, {}],
  },
  {
    title: "a session that is visited outlives the cookie that it began with",
    options: { cookie: { maxAge: 2_000 } },
    async visit(browser) {
      await browser.get("/set/n/1");
      const end = Date.now() + 2_600;
      while (Date.now() < end) {
        await sleep(100);
        await browser.get("/data");
      }
      return browser.data();
    },
    expected: { n: "1" },
  },
  {
    title: "attributes of the cookie come back with the session",
    options: { cookie: { maxAge: 60_000, sameSite: "strict", path: "/", httpOnly: false } },
    routes(app) {
      app.get("/cookie", (req, res) => {
        const { cookie } = req.session;
        const { expires: _, ...attributes } = JSON.parse(JSON.stringify(cookie)) as object & {
          expires: unknown;
        };
        const isDate = cookie.expires instanceof Date;
        res.json({ ...attributes, originalMaxAge: ageOf(req), isDate });
      });
    },
    async visit(browser) {
      const { set = "" } = await browser.get("/set/n/1");
      return [/SameSite=Strict/.test(set), /HttpOnly/.test(set), await browser.json("/cookie")];
    },
    expected: [
      true,
      false,
      { originalMaxAge: 60, sameSite: "strict", path: "/", httpOnly: false, isDate: true },
    ],
  },
  {
    title: "a cookie that the app did not sign opens nothing and is not adopted",
    async visit(browser) {
      await browser.get("/set/n/1");
      const id = browser.id();
      const thief = browser.fork();
      thief.keep([`connect.sid=s%3A${id}.${"A".repeat(43)}`]);
      const stolen = await thief.data();
      await thief.get("/set/n/2");
      return [stolen, thief.id() === id, await browser.data()];
    },
    expected: [{}, false, { n: "1" }],
  },
  {
    title: "with a secure cookie a visitor over HTTP gets none",
    options: { cookie: { secure: true } },
    async visit(browser) {
      const { set } = await browser.get("/set/n/1");
      return [set !== undefined, await browser.data()];
    },
    expected: [false, {}],
  },
  {
    title: "a cookie without maxAge has no time, and its session is kept",
    options: { cookie: {} },
    async visit(browser) {
      const { set = "" } = await browser.get("/set/n/1");
      const data = await browser.data();
      return [/Expires/.test(set), data, (await browser.get("/set/n/2")).set];
    },
    expected: [false, { n: "1" }, undefined],
  },
  {
    title: "ids may be the app's own, such as UUIDs",
    options: { genid: () => randomUUID(), name: "sid" },
    async visit(browser) {
      await browser.get("/set/n/1");
      return [/^[0-9a-f-]{36}$/.test(browser.id("sid")), await browser.data()];
    },
    expected: [true, { n: "1" }],
  },
  {
    title: "ids may have any form",
    options: { genid: () => "short" },
    async visit(browser) {
      await browser.get("/set/n/1");
      return browser.data();
    },
    expected: { n: "1" },
    differs: {
      LatchkeyStore: {
        reason: "the save fails: an id has 22 to 256 of `[A-Za-z0-9_-]`",
        expected: {},
      },
    },
  },
];

const read = (store: WholeStore, id: string) =>
  new Promise<SessionData | null | undefined>((resolve, reject) => {
    store.get(id, (error, data) => (error ? reject(error) : resolve(data)));
  });
