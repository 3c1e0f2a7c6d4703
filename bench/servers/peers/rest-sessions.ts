// The peer that Latchkey replaces: redis-sessions behind the HTTP routes of
// rest-sessions that the trials use. Express is left at its defaults, as there.
import express, { type ErrorRequestHandler, type Request } from "express";
import RedisSessions from "redis-sessions";
import { announce } from "./announce.js";

type Method = "create" | "get" | "set" | "activity" | "soapp";

const path = process.env["BENCH_REDIS_SOCKET"];
if (path === undefined) throw new Error("BENCH_REDIS_SOCKET is not set");
const sessions = new RedisSessions({ options: { path } });

const answerBy =
  (method: Method, requestOf: (request: Request) => Record<string, unknown>) =>
  (request: Request, response: express.Response, next: express.NextFunction): void => {
    sessions[method](requestOf(request), (error, answer) => {
      if (error) next(error);
      else response.send(answer);
    });
  };

const onError: ErrorRequestHandler = (error: Error, _request, response, _next) => {
  response.status(500).send({ name: error.name, message: error.message });
};

const app = express();
app.use(express.json({ limit: 60_000 }));
app.put(
  "/:app/create/:id",
  answerBy("create", ({ params, query, body }) => ({
    ...params,
    ...query,
    ...(hasKeys(body) ? { d: body } : {}),
  })),
);
app.get(
  "/:app/get/:token",
  answerBy("get", ({ params }) => ({ ...params })),
);
app.post(
  "/:app/set/:token",
  answerBy("set", ({ params, body }) => ({ ...params, d: body })),
);
app.get(
  "/:app/activity",
  answerBy("activity", ({ params, query }) => ({ ...params, ...query })),
);
app.get(
  "/:app/soapp",
  answerBy("soapp", ({ params, query }) => ({ ...params, ...query })),
);
app.use(onError);

sessions.ping((error) => {
  if (error) throw error;
  const server = app.listen(0, "127.0.0.1", () => announce("http", server.address()));
});

function hasKeys(body: unknown): boolean {
  return typeof body === "object" && body !== null && Object.keys(body).length > 0;
}
