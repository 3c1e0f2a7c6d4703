import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import type { Client } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { ROOT } from "../../support/process/server.js";
import { withServer } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

type Sessions = Client<typeof SessionService>;
type Answer<M extends keyof Sessions> = Awaited<ReturnType<Sessions[M]>>;

const page = readFileSync(join(ROOT, "docs/clients.md"), "utf8");

/** The code in the cells of the table below a heading of the page, row by row. */
function rowsOf(title: string): [before: string[], now: string[]][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${title}\n`));
  assert.ok(section, `docs/clients.md has the section ${title}`);
  const rows = [...section.matchAll(/^\| (`.*) \| (.*) \|$/gm)];
  return rows.map(([, before = "", now = ""]) => [codeIn(before), codeIn(now)]);
}

const codeIn = (cell: string) => [...cell.matchAll(/`([^`]*)`/g)].map(([, code = ""]) => code);

/** Evaluates a call of the page with these variables. */
function evaluate(code: string, variables: Readonly<Record<string, unknown>>): Promise<unknown> {
  return new Function(...Object.keys(variables), `return ${code};`)(...Object.values(variables));
}

async function create(sessions: Sessions): Promise<string> {
  const { token } = await sessions.createSession({ app: "shop", userId: "ann" });
  return token;
}

/** What the new call answers, in the form of the old one. */
const AS_BEFORE: Readonly<Record<string, (answer: never) => unknown>> = {
  create: ({ token }: Answer<"createSession">) => ({ token }),
  get: ({ session }: Answer<"getSession">) => ({ id: session?.userId }),
  set: ({ session }: Answer<"updateSession">) => ({ d: session?.data, w: Number(session?.writes) }),
  activity: ({ userCount }: Answer<"countActiveUsers">) => ({ activity: Number(userCount) }),
  soapp: ({ sessions }: Answer<"listSessions">) => ({ sessions: ids(sessions) }),
  soid: ({ sessions }: Answer<"listUserSessions">) => ({ sessions: ids(sessions) }),
  kill: () => ({ kill: 1 }),
  killsoid: ({ deletedCount }: Answer<"deleteUserSessions">) => ({ kill: Number(deletedCount) }),
  killall: ({ deletedCount }: Answer<"deleteAppSessions">) => ({ kill: Number(deletedCount) }),
};

const ids = (sessions: readonly { readonly userId: string }[]) =>
  sessions.map(({ userId }) => userId);

/** Of an old answer what AS_BEFORE makes of the new one. */
function relevant(answer: Readonly<Record<string, unknown>>, keys: readonly string[]) {
  const entries = keys.map((key) => {
    const value = answer[key];
    return [key, Array.isArray(value) ? value.map(({ id }) => id) : value];
  });
  return Object.fromEntries(entries);
}

test("each call of rest-sessions and the one beside it do the same", (t) =>
  withServer("memory", async ({ grpc, http }) => {
    const wire = openWire("gRPC", { grpc, http });
    t.after(wire.close);
    const sessions = wire.client(SessionService);
    const seen: string[] = [];
    for (const [[endpoint = "", body], [call = ""]] of rowsOf("From rest-sessions")) {
      const [method = "", path = ""] = endpoint.split(" ");
      const verb = path.replace(/^\/shop/, "").split(/[/?]/)[1] ?? "";
      seen.push(verb);
      await sessions.deleteAppSessions({ app: "shop" });
      const url = `http://${http}${path.replace("TOKEN", await create(sessions))}`;
      const content = body && { body, headers: { "content-type": "application/json" } };
      const answered = await fetch(url, { method, ...content });
      assert.equal(answered.status, 200, endpoint);
      const read = AS_BEFORE[verb];
      if (!read) continue;

      const before = (await answered.json()) as Record<string, unknown>;
      await sessions.deleteAppSessions({ app: "shop" });
      const answer = await evaluate(call, { sessions, token: await create(sessions) });
      const now = read(answer as never) as Record<string, unknown>;
      // Tokens differ.
      if (verb === "create") assert.deepEqual(Object.keys(before), Object.keys(now));
      else assert.deepEqual(relevant(before, Object.keys(now)), now, call);
    }
    assert.deepEqual(seen, [...Object.keys(AS_BEFORE), "ping"]);
  }));

test("each method of redis-sessions has a row, and the call beside it works", (t) =>
  withServer("memory", async ({ grpc, http }) => {
    const wire = openWire("gRPC", { grpc, http });
    t.after(wire.close);
    const sessions = wire.client(SessionService);
    const rows = rowsOf("From redis-sessions");
    for (const [, [call = ""]] of rows) {
      if (!call.startsWith("sessions.")) continue;
      const given = { app: "shop", id: "ann", ip: "192.0.2.7", d: { cart: 2 } };
      const token = await create(sessions);
      await evaluate(call.replace("…", "app, userId: id"), { sessions, token, ...given });
    }

    const RedisSessions = createRequire(import.meta.url)("redis-sessions");
    const old = new RedisSessions({ client: { on() {}, connected: true, quit() {} } });
    t.after(() => old.quit());
    const methods = Object.keys(old).filter((name) => /^[a-z]/.test(name) && isFunction(old[name]));
    const named = rows.flatMap(([before]) => before.map((code) => /^rs\.(\w+)/.exec(code)?.[1]));
    assert.ok(methods.includes("killsoid"));
    assert.deepEqual(
      methods.filter((name) => !named.includes(name)),
      [],
    );
  }));

const isFunction = (value: unknown) => typeof value === "function";
