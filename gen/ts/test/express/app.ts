import { once } from "node:events";
import { type Agent, createServer, request, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo, Socket } from "node:net";
import express4, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import session from "express-session";
import { type Case, type Content, sessionOf } from "./case.js";
import type { Stores, WholeStore } from "./stores.js";

// It is installed beside Express 4, under a name that has no declarations.
const express5 = createRequire(import.meta.url)("express5") as typeof express4;
export const EXPRESSES = { "Express 4": express4, "Express 5": express5 } as const;

export interface App {
  readonly store: WholeStore;
  /** express-session's, for what is no request of Express. */
  readonly middleware: RequestHandler;
  readonly server: Server;
  readonly port: number;
  /** Starts another process of the app, as it were, and answers with its port. */
  openTwin(): Promise<number>;
  /** Has `work` done when the case is over. */
  after(work: () => unknown): void;
}

/** Errors that reached the app's handler; several cases show that there are none. */
const onError: ErrorRequestHandler = (error, _req, res, next) => {
  if (res.headersSent) next(error);
  else res.status(500).send(String(error));
};

/** Runs the case's app and visitors. */
export async function play(one: Case, express: typeof express4, { store, twin }: Stores) {
  const works: (() => unknown)[] = [];
  const after: App["after"] = (work) => works.push(work);
  const openTwin = async () =>
    (await listen(one, express(), { store: twin, after, openTwin })).port;
  try {
    const opened = await listen(one, express(), { store, after, openTwin });
    return await one.visit(createBrowser(opened.port), opened);
  } finally {
    for (const work of works.reverse()) await work();
  }
}

async function listen(
  one: Case,
  app: Express,
  rest: Pick<App, "store" | "after" | "openTwin">,
): Promise<App> {
  const server = createServer(app.set("env", "test")).listen(0, "127.0.0.1");
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  rest.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const middleware = session({
    store: rest.store,
    secret: "a secret",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 600_000 },
    ...one.options,
  });
  const opened: App = { ...rest, middleware, server, port };
  one.before?.(app, opened);
  app.use(middleware);
  app.get("/data", (req, res) => {
    const { cookie: _, ...data } = sessionOf(req);
    res.json(data);
  });
  app.get("/set/:key/:value", (req, res) => {
    sessionOf(req)[req.params.key] = req.params.value;
    res.send("set");
  });
  one.routes?.(app, opened);
  app.use(onError);
  return opened;
}

export type Browser = ReturnType<typeof createBrowser>;

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Whether it has a cookie, and which. */
  readonly set: string | undefined;
}

/** A browser with a cookie jar, which follows redirects as soon as it has their headers. */
export function createBrowser(
  port: number,
  jar: ReadonlyMap<string, string> = new Map(),
  nextPort = port,
  agent: Agent | false = false,
) {
  const cookies = new Map(jar);
  const cookie = () => [...cookies].map((pair) => pair.join("=")).join("; ");
  const keep = (set: readonly string[] = []) => {
    for (const text of set) {
      const [pair = ""] = text.split(";");
      const at = pair.indexOf("=");
      cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
  };
  const get = async (
    path: string,
    headers: Record<string, string> = {},
    at = port,
  ): Promise<Answer> => {
    const all = { ...headers, ...(cookies.size > 0 ? { cookie: cookie() } : {}) };
    const sent = request({ host: "127.0.0.1", port: at, path, agent, headers: all });
    const [answer] = await once(sent.end(), "response");
    keep(answer.headers["set-cookie"]);
    const { location } = answer.headers;
    if (location !== undefined) {
      answer.resume();
      return get(location, headers, nextPort);
    }
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const set: string | undefined = answer.headers["set-cookie"]?.join();
    return { status: answer.statusCode, text, headers: answer.headers, set };
  };
  return {
    get,
    keep,
    cookie,
    /** Another one with the same cookies. */
    fork: () => createBrowser(port, cookies),
    /** Another one that keeps its connections. */
    kept: (connections: Agent) => createBrowser(port, cookies, nextPort, connections),
    /** Another one whose redirects lead to this port, as a balancer may have it. */
    balanced: (other: number) => createBrowser(port, cookies, other),
    text: async (path: string) => (await get(path)).text,
    json: async (path: string): Promise<unknown> => JSON.parse((await get(path)).text),
    data: async () => JSON.parse((await get("/data")).text) as Content,
    /** The id in the session's cookie. */
    id: (name = "connect.sid") => /^s%3A([^.]*)\./.exec(cookies.get(name) ?? "")?.[1] ?? "",
    /** Until the answer of `path` is this text. */
    async until(path: string, text: string): Promise<void> {
      while ((await get(path)).text !== text) await new Promise(setImmediate);
    },
  };
}
