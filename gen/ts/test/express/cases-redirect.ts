import { Agent } from "node:http";
import type { Request, Response } from "express";
import type { SessionOptions } from "express-session";
import type { Browser } from "./app.js";
import { type Case, sessionOf } from "./case.js";

const ROUNDS = 40;

/** Asks something of the session and answers with a redirect. */
interface Redirect {
  readonly title: string;
  readonly options?: Partial<SessionOptions>;
  act(req: Request, res: Response, value: string): void;
  /** What the page that the redirect leads to has, as JSON. */
  pageOf(value: string): unknown;
}

/** How many of the pages that redirects led to were of before. */
async function countOld(browser: Browser, pageOf: Redirect["pageOf"]): Promise<number> {
  let old = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await browser.get("/set/value/before");
    const text = await browser.text(`/act/${round}`);
    if (text !== JSON.stringify(pageOf(`${round}`))) old++;
  }
  return old;
}

/** Of one process, and of two. */
const cases = ({ title, options, act, pageOf }: Redirect): Case[] => {
  const shared: Pick<Case, "routes" | "expected" | "options"> = {
    ...(options ? { options } : {}),
    routes(app) {
      app.get("/act/:value", (req, res) => act(req, res, req.params.value));
    },
    expected: 0,
  };
  const one: Case = {
    ...shared,
    title: `a redirect after ${title}`,
    visit: (browser) => countOld(browser, pageOf),
  };
  const other: Case = {
    ...shared,
    title: `a redirect after ${title}, to another process of the app`,
    visit: async (browser, { openTwin }) => countOld(browser.balanced(await openTwin()), pageOf),
  };
  return [one, other];
};

/** Redirects that the browser follows as soon as it has their headers, and requests of one connection. */
export const REDIRECT_CASES: readonly Case[] = [
  ...cases({
    title: "a change",
    act(req, res, value) {
      sessionOf(req)["value"] = value;
      res.redirect("/data");
    },
    pageOf: (value) => ({ value }),
  }),
  ...cases({
    title: "a destroy",
    act(req, res) {
      req.session.destroy(() => res.redirect("/data"));
    },
    pageOf: () => ({}),
  }),
  ...cases({
    title: "a session is set to null, with unset: destroy",
    options: { unset: "destroy" },
    act(req, res) {
      Reflect.set(req, "session", null);
      res.redirect("/data");
    },
    pageOf: () => ({}),
  }),
  ...cases({
    title: "a destroy that nobody waits for",
    act(req, res) {
      req.session.destroy(() => undefined);
      res.redirect("/data");
    },
    pageOf: () => ({}),
  }),
  ...cases({
    title: "a save that nobody waits for",
    act(req, res, value) {
      sessionOf(req)["value"] = value;
      req.session.save();
      res.redirect("/data");
    },
    pageOf: (value) => ({ value }),
  }),
  {
    title: "requests one after another on one connection, which change, save and end sessions",
    routes(app) {
      app.get("/save", (req, res) => {
        sessionOf(req).n = Number(sessionOf(req).n ?? 0) + 1;
        req.session.save();
        res.send("saved");
      });
      app.get("/destroy", (req, res) => {
        req.session.destroy(() => undefined);
        res.send("destroyed");
      });
    },
    async visit(browser, { after }) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      after(() => agent.destroy());
      const device = browser.kept(agent);
      const texts = [];
      for (const path of ["/set/n/1", "/save", "/save", "/data", "/destroy", "/data", "/save"]) {
        texts.push(await device.text(path));
      }
      return texts;
    },
    expected: ["set", "saved", "saved", '{"n":3}', "destroyed", "{}", "saved"],
  },
];
