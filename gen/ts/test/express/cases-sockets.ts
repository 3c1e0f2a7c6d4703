import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import type { Request, Response } from "express";
import { Server as SocketServer } from "socket.io";
import { io } from "socket.io-client";
import { WebSocket, WebSocketServer } from "ws";
import type { App } from "./app.js";
import { type Case, sessionOf } from "./case.js";

/** Upgrades as ws's own example does: with the session's middleware and no response. */
function openWebsockets({ server, middleware, after }: App): void {
  const sockets = new WebSocketServer({ noServer: true });
  after(() => sockets.close());
  server.on("upgrade", (req: Request, socket, head) => {
    middleware(req, {} as Response, () => {
      sockets.handleUpgrade(req, socket, head, (websocket) => {
        websocket.on("message", (message) => {
          const visitor = sessionOf(req);
          if (`${message}` === "read") websocket.send(JSON.stringify(visitor.n ?? null));
          else {
            visitor[`${message}`] = "ann";
            visitor.save((error) => websocket.send(error ? "failed" : "saved"));
          }
        });
      });
    });
  });
}

/** Sends the messages one after another and answers with the answers. */
async function talk(port: number, cookie: string, messages: readonly string[]) {
  const headers = cookie === "" ? {} : { cookie };
  const websocket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers });
  await once(websocket, "open");
  const answers: string[] = [];
  for (const message of messages) {
    websocket.send(message);
    answers.push(String((await once(websocket, "message"))[0]));
  }
  websocket.terminate();
  return answers;
}

/** socket.io as its guide has it. */
function openSocketIo({ server, middleware, after }: App): void {
  const sockets = new SocketServer(server);
  after(() => sockets.close());
  sockets.engine.use(middleware);
  sockets.on("connection", (socket) => {
    const req = socket.request as IncomingMessage & Request;
    socket.on("count", (answer: (n: unknown) => void) => {
      req.session.reload((error) => {
        if (error) return answer("no session");
        const visitor = sessionOf(req);
        visitor.n = Number(visitor.n ?? 0) + 1;
        visitor.save((failed) => answer(failed ? "failed" : visitor.n));
      });
    });
  });
}

async function count(port: number, cookie: string, transports: ("polling" | "websocket")[]) {
  const socket = io(`http://127.0.0.1:${port}`, {
    transports,
    forceNew: true,
    reconnection: false,
    ...(cookie === "" ? {} : { extraHeaders: { cookie } }),
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("connect_error", reject);
    });
    return (await socket.timeout(10_000).emitWithAck("count")) as unknown;
  } finally {
    socket.disconnect();
  }
}

/** Websockets, whose requests have no response of their own. */
export const SOCKET_CASES: readonly Case[] = [
  {
    title: "a websocket without a cookie has a new session, which it may save",
    routes: (_app, opened) => openWebsockets(opened),
    async visit(_browser, { port, store }) {
      const answers = await talk(port, "", ["read"]);
      const before = await promisify(store.length.bind(store) as never)();
      answers.push(...(await talk(port, "", ["name"])));
      return [answers, before, await promisify(store.length.bind(store) as never)()];
    },
    expected: [["null", "saved"], 0, 1],
  },
  {
    title: "a websocket with a cookie reads and saves the session",
    routes: (_app, opened) => openWebsockets(opened),
    async visit(browser, { port }) {
      await browser.get("/set/n/1");
      const answers = await talk(port, browser.cookie(), ["read", "name", "other", "read"]);
      return [answers, await browser.data()];
    },
    expected: [['"1"', "saved", "saved", '"1"'], { n: "1", name: "ann", other: "ann" }],
  },
  {
    title: "a websocket logs a session's user in",
    routes: (_app, opened) => openWebsockets(opened),
    async visit(browser, { port }) {
      await browser.get("/set/n/1");
      const answers = await talk(port, browser.cookie(), ["userId"]);
      return [answers, await browser.data()];
    },
    expected: [["saved"], { n: "1", userId: "ann" }],
    differs: {
      LatchkeyStore: {
        reason: "the save fails: the browser's cookie cannot move to a new id",
        expected: [["failed"], { n: "1" }],
      },
    },
  },
  {
    title: "socket.io takes visitors without a cookie, who have no session to reload",
    routes: (_app, opened) => openSocketIo(opened),
    async visit(_browser, { port }) {
      return [
        await count(port, "", ["polling", "websocket"]),
        await count(port, "", ["polling"]),
        await count(port, "", ["websocket"]),
      ];
    },
    expected: ["no session", "no session", "no session"],
  },
  {
    title: "socket.io reads and saves the session of a cookie, by each transport",
    routes: (_app, opened) => openSocketIo(opened),
    async visit(browser, { port }) {
      await browser.get("/set/n/1");
      const counts = [
        await count(port, browser.cookie(), ["polling", "websocket"]),
        await count(port, browser.cookie(), ["polling"]),
        await count(port, browser.cookie(), ["websocket"]),
      ];
      return [counts, await browser.data()];
    },
    expected: [[2, 3, 4], { n: 4 }],
  },
];
