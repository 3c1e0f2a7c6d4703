import { createRequire } from "node:module";
import flash from "connect-flash";
import type { Express, Request } from "express";
import passport from "passport";
import { Strategy } from "passport-local";
import { type Case, type Difference, sessionOf } from "./case.js";

// It is installed beside the newest, under a name that has no declarations.
const passport05 = createRequire(import.meta.url)("passport05") as typeof passport;

/** An app with connect-flash and this Passport. */
function openUsers(app: Express, { Passport }: typeof passport): void {
  const guard = new Passport();
  guard.serializeUser((user, done) => done(null, (user as { id: number }).id));
  guard.deserializeUser((id, done) => done(null, { id } as Express.User));
  guard.use(
    new Strategy({ usernameField: "name", passwordField: "secret" }, (name, secret, done) => {
      if (secret === "right") done(null, { id: name.length, name });
      else done(null, false, { message: "wrong secret" });
    }),
  );
  app.use(flash());
  app.use(guard.initialize());
  app.use(guard.session());
  app.get("/", (req, res) => {
    res.json({ user: req.user ?? null, cart: sessionOf(req).cart ?? null, told: req.flash() });
  });
  app.get(
    "/login",
    guard.authenticate("local", {
      successRedirect: "/",
      failureRedirect: "/",
      failureFlash: true,
      successFlash: "welcome",
    }),
  );
  app.get("/logout", (req, res, next) =>
    logout(req, (error) => (error ? next(error) : res.redirect("/"))),
  );
}

/** Passport 0.5 takes no callback, and has no need of one. */
function logout(req: Request, done: (error?: unknown) => void): void {
  if (req.logout.length > 0) req.logout(done);
  else {
    (req.logout as unknown as () => void)();
    done();
  }
}

/** A visitor fails to log in, does so, and logs out; and somebody who has the cookie from before. */
const visit: Case["visit"] = async (browser) => {
  await browser.get("/set/cart/tea");
  const before = browser.fork();
  const failed = await browser.json("/login?name=ann&secret=wrong");
  const failedAgain = await browser.json("/");
  const login = await browser.json("/login?name=ann&secret=right");
  const again = await browser.json("/");
  const loggedIn = browser.fork();
  const stranger = await before.json("/");
  const out = await browser.json("/logout");
  return { failed, failedAgain, login, again, stranger, out, late: await loggedIn.json("/") };
};

const nobody = { user: null, cart: null, told: {} };
const user = { id: 3 };

/** What Passport's outcome is when its login keeps the session and moves its id. */
const MOVED: Difference = {
  reason: "the login moves the session to a new id, and the old one opens nothing",
  expected: {
    failed: { user: null, cart: "tea", told: { error: ["wrong secret"] } },
    failedAgain: { user: null, cart: "tea", told: {} },
    login: { user, cart: "tea", told: { success: ["welcome"] } },
    again: { user, cart: "tea", told: {} },
    stranger: nobody,
    out: { user: null, cart: "tea", told: {} },
    late: { user: null, cart: "tea", told: {} },
  },
};

/** Logins, logouts and what is told once. */
export const USER_CASES: readonly Case[] = [
  {
    title: "Passport 0.7 logs in and out under new ids, and connect-flash tells once",
    routes: (app) => openUsers(app, passport),
    visit,
    expected: {
      failed: { user: null, cart: "tea", told: { error: ["wrong secret"] } },
      failedAgain: { user: null, cart: "tea", told: {} },
      // Passport tells before it regenerates.
      login: { user, cart: null, told: {} },
      again: { user, cart: null, told: {} },
      stranger: nobody,
      out: nobody,
      late: nobody,
    },
  },
  {
    title: "Passport 0.5 logs in and out under one id",
    routes: (app) => openUsers(app, passport05),
    visit,
    expected: {
      ...(MOVED.expected as object),
      stranger: { user, cart: "tea", told: {} },
    },
    differs: { LatchkeyStore: MOVED },
  },
  {
    title: "a visitor whose account is deleted is nobody's session",
    routes(app) {
      const guard = new passport.Passport();
      guard.serializeUser((_user, done) => done(null, 7));
      guard.deserializeUser((_id, done) => done(null, false));
      app.use(guard.initialize(), guard.session());
      app.get("/login", (req, res, next) => {
        req.login({}, (error) => (error ? next(error) : res.send("in")));
      });
      app.get("/", (req, res) => res.json([req.isAuthenticated(), sessionOf(req)["passport"]]));
    },
    async visit(browser) {
      await browser.get("/login");
      return [await browser.json("/"), await browser.json("/")];
    },
    expected: [
      [false, {}],
      [false, {}],
    ],
  },
];
