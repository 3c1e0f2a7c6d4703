// Breaks the way to Latchkey in each manner that networks know, and prints what a visitor of an
// Express app meets: `npm run drill -w latchkey-client`, in a clone.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type ErrorRequestHandler } from "express";
import session from "express-session";
import { startServer } from "../../../test/support/process/server.js";
import { LatchkeyStore } from "../src/express-session.js";
import { createLatchkey } from "../src/index.js";
import { type Middlebox, openMiddlebox } from "./middlebox.js";

const cleanups: (() => unknown)[] = [];
const scope = { after: (cleanup: () => unknown) => void cleanups.push(cleanup) };
const target = await startServer(scope as never, { LATCHKEY_STORE: "memory:" });

interface Fault {
  readonly name: string;
  begin(box: Middlebox): unknown;
  end(box: Middlebox): unknown;
}

const FAULTS: readonly Fault[] = [
  { name: "connection forgotten", begin: (box) => box.forget(), end: () => undefined },
  { name: "connections cut", begin: (box) => box.cut(), end: () => undefined },
  {
    name: "host silent, old and new connections",
    begin: (box) => box.silence(true),
    end: (box) => box.silence(false),
  },
  {
    name: "server stopped (SIGSTOP)",
    begin: () => process.kill(target.pid ?? 0, "SIGSTOP"),
    end: () => process.kill(target.pid ?? 0, "SIGCONT"),
  },
  { name: "port refuses", begin: (box) => box.close(), end: () => undefined },
];

console.log("| fault | first visit | the next | cookie | recovered after |\n|---|---|---|---|--:|");
for (const fault of FAULTS) {
  const box = await openMiddlebox(scope, target.grpc);
  const latchkey = createLatchkey({ address: box.address });
  const app = express();
  const store = new LatchkeyStore({ latchkey, app: "drill" });
  app.use(session({ store, secret: "drill", resave: false, saveUninitialized: false }));
  app.get("/", (req, res) => {
    const counted = req.session as { visits?: number };
    counted.visits = (counted.visits ?? 0) + 1;
    res.send("a page");
  });
  const onError: ErrorRequestHandler = (_error, _req, res, _next) => void res.sendStatus(500);
  app.use(onError);
  const web = createServer(app).listen(0, "127.0.0.1");
  await once(web, "listening");
  let cookie = "";
  let isKept = true;
  const visit = async () => {
    const start = performance.now();
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/`;
    const answer = await fetch(url, { headers: { cookie } });
    const set = answer.headers.get("set-cookie");
    if (cookie !== "" && set !== null) isKept = false;
    cookie ||= set?.split(";")[0] ?? "";
    const seconds = ((performance.now() - start) / 1_000).toFixed(2);
    return { status: answer.status, text: `${answer.status} after ${seconds} s` };
  };
  await visit();
  fault.begin(box);
  const [first, next] = [await visit(), await visit()];
  const ended = performance.now();
  await fault.end(box);
  // A port that refuses stays so here; its way back is the connection's backoff, 0.5 s at most.
  const isBack = fault.name !== "port refuses";
  while (isBack && (await visit()).status !== 200);
  const recovered = isBack ? `${((performance.now() - ended) / 1_000).toFixed(2)} s` : "–";
  const kept = isKept ? "kept" : "lost";
  console.log(`| ${fault.name} | ${first.text} | ${next.text} | ${kept} | ${recovered} |`);
  web.close();
  web.closeAllConnections();
  latchkey.close();
}
for (const cleanup of cleanups.reverse()) await cleanup();
process.exit();
