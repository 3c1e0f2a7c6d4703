// An Express app whose sessions are in Latchkey: `npx tsx gen/ts/example/express.ts`, beside a
// server (`npm start`).
import express from "express";
import session from "express-session";
import { createLatchkey } from "latchkey-client";
import { LatchkeyStore } from "latchkey-client/express-session";

declare module "express-session" {
  interface SessionData {
    userId: string;
  }
}

const latchkey = createLatchkey({ address: process.env["LATCHKEY_ADDRESS"] ?? "localhost:50051" });
const store = new LatchkeyStore({ latchkey, app: "shop" });
const app = express();
app.use(
  session({
    store,
    secret: process.env["COOKIE_SECRET"] ?? "only for an example",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 2 * 60 * 60 * 1000 },
  }),
);
app.get("/", (req, res) => {
  res.send(`You are ${req.session.userId ?? "nobody"}\n`);
});
app.post("/login/:user", (req, res, next) => {
  // The password would be checked here.
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.userId = req.params.user;
    res.send("Welcome\n");
  });
});
app.post("/logout-everywhere", async (req, res) => {
  const { userId } = req.session;
  if (userId) await latchkey.sessions.deleteUserSessions({ app: "shop", userId });
  res.send("Bye\n");
});
app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
