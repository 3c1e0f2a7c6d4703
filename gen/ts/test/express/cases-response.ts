import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import compression from "compression";
import type { Express, RequestHandler } from "express";
import proxies from "http-proxy";
import { type Case, sessionOf } from "./case.js";

const LONG = "Latchkey ".repeat(1_000);

const longText = (app: Express) => {
  app.get("/long", (req, res) => {
    sessionOf(req).n = 1;
    res.send(LONG);
  });
};

const visitLong: Case["visit"] = async (browser) => {
  const { headers } = await browser.get("/long", { "accept-encoding": "gzip" });
  return [headers["content-encoding"], await browser.data()];
};

/** A case of one way to answer: the cookie is sent, the text whole, the change kept. */
const answering = (title: string, answer: RequestHandler): Case => ({
  title,
  routes(app) {
    app.get(
      "/answer",
      (req, _res, next) => {
        sessionOf(req).n = (sessionOf(req).n ?? 0) + 1;
        next();
      },
      answer,
    );
  },
  async visit(browser) {
    const first = await browser.get("/answer");
    const second = await browser.get("/answer");
    return [first.set !== undefined, first.text, second.text, await browser.data()];
  },
  expected: [true, "abc", "abc", { n: 2 }],
});

/** How apps and middleware answer. */
export const RESPONSE_CASES: readonly Case[] = [
  {
    title: "compression before the session",
    before: (app) => app.use(compression()),
    routes: longText,
    visit: visitLong,
    expected: ["gzip", { n: 1 }],
  },
  {
    title: "compression after the session",
    routes(app) {
      app.use(compression());
      longText(app);
    },
    visit: visitLong,
    expected: ["gzip", { n: 1 }],
  },
  answering("res.writeHead and res.end", (_req, res) => {
    res.writeHead(200, { "content-type": "text/plain" });
    res.end("abc");
  }),
  answering("res.write before res.end", (_req, res) => {
    res.write("a");
    res.write("b");
    res.end("c");
  }),
  answering("res.end from a timer", (_req, res) => {
    setTimeout(() => res.end("abc"), 5);
  }),
  answering("a stream that is piped", (_req, res) => {
    Readable.from(["a", "b", "c"]).pipe(res);
  }),
  answering("a pipeline", async (_req, res) => {
    await pipeline(Readable.from(["a", "b", "c"]), res);
  }),
  answering("a Content-Length of the app's", (_req, res) => {
    res.setHeader("content-length", "3");
    res.end(Buffer.from("abc"));
  }),
  {
    title: "responses without a body and with an error's page keep changes",
    routes(app) {
      app.use("/count", (req, _res, next) => {
        sessionOf(req).n = (sessionOf(req).n ?? 0) + 1;
        next();
      });
      app.get("/count/204", (_req, res) => res.status(204).end());
      app.get("/count/304", (_req, res) => res.status(304).end());
      app.get("/count/500", () => {
        throw new Error("a page that fails");
      });
    },
    async visit(browser) {
      const statuses = [];
      for (const path of ["/count/204", "/count/304", "/count/500", "/count/404"]) {
        statuses.push((await browser.get(path)).status);
      }
      return [statuses, await browser.data()];
    },
    expected: [[204, 304, 500, 404], { n: 4 }],
  },
  {
    title: "http-proxy passes a response through",
    routes(app, opened) {
      const upstream = createServer((_req, res) => {
        res.setHeader("x-upstream", "yes");
        res.write("ab");
        res.end("c");
      }).listen(0, "127.0.0.1");
      const proxy = proxies.createProxyServer({});
      opened.after(() => {
        proxy.close();
        upstream.closeAllConnections();
        upstream.close();
      });
      app.get("/proxied", async (req, res) => {
        if (!upstream.listening) await once(upstream, "listening");
        const { port } = upstream.address() as AddressInfo;
        sessionOf(req).n = (sessionOf(req).n ?? 0) + 1;
        proxy.web(req, res, { target: `http://127.0.0.1:${port}` });
      });
    },
    async visit(browser) {
      const { set, text, headers } = await browser.get("/proxied");
      await browser.get("/proxied");
      return [set !== undefined, text, headers["x-upstream"], await browser.data()];
    },
    expected: [true, "abc", "yes", { n: 2 }],
  },
  {
    title: "a change after the headers is kept, also one that is saved after the response",
    routes(app) {
      app.get("/late", (req, res) => {
        res.flushHeaders();
        sessionOf(req)["late"] = 1;
        res.end("answered");
      });
      app.get("/later", (req, res) => {
        res.on("finish", () => {
          sessionOf(req)["later"] = 2;
          req.session.save();
        });
        res.end("answered");
      });
    },
    async visit(browser) {
      await browser.get("/set/n/1");
      await browser.get("/late");
      await browser.get("/later");
      await browser.until("/data", JSON.stringify({ n: "1", late: 1, later: 2 }));
      return browser.data();
    },
    expected: { n: "1", late: 1, later: 2 },
  },
  {
    title: "a stream of a mebibyte after a save that nobody waits for",
    routes(app) {
      app.get("/stream", (req, res) => {
        sessionOf(req).n = 1;
        req.session.save();
        Readable.from(Array.from({ length: 64 }, () => Buffer.alloc(16_384))).pipe(res);
      });
    },
    async visit(browser) {
      await browser.get("/set/m/1");
      return [(await browser.text("/stream")).length, await browser.data()];
    },
    expected: [1_048_576, { m: "1", n: 1 }],
  },
];
