// The ceiling of the HTTP trials: Fastify handlers that take a request in, answer
// constant JSON and do nothing else but count, so that the benchmark can check it.
import Fastify from "fastify";
import { announce } from "./announce.js";

interface Create {
  Params: { id: string };
  Querystring: { ip: string };
  Body: unknown;
}

const app = Fastify();
let session: unknown;
const counts = { created: 0, read: 0, written: 0 };

app.put<Create>("/:app/create/:id", async ({ params, query, body }) => {
  counts.created += 1;
  session = { id: params.id, r: 100, w: 1, ttl: 7200, idle: 0, ip: query.ip, d: body };
  return { token: "A".repeat(64) };
});
app.get("/:app/get/:token", async () => {
  counts.read += 1;
  return session;
});
app.post("/:app/set/:token", async () => {
  counts.written += 1;
  return session;
});
app.get("/:app/soapp", async () => ({ sessions: [{ r: counts.read, w: counts.written }] }));
app.get("/:app/activity", async () => ({ activity: counts.created }));

await app.listen({ host: "127.0.0.1", port: 0 });
announce("http", app.server.address());
