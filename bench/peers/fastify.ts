// The ceiling of the HTTP trials: a Fastify handler that answers one session as
// JSON and does nothing else but count, so that the benchmark can check it.
import Fastify from "fastify";
import { announce } from "./announce.js";

interface Create {
  Params: { id: string };
  Querystring: { ip: string };
  Body: unknown;
}

const app = Fastify();
let session: unknown;
let answered = 0;

app.put<Create>("/:app/create/:id", async ({ params, query, body }) => {
  session = { id: params.id, r: 100, w: 1, ttl: 7200, idle: 0, ip: query.ip, d: body };
  return { token: "A".repeat(64) };
});
app.get("/:app/get/:token", async () => {
  answered += 1;
  return session;
});
app.get("/:app/soapp", async () => ({ sessions: [{ r: answered, w: 1 }] }));

await app.listen({ host: "127.0.0.1", port: 0 });
announce("http", app.server.address());
