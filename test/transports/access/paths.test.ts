import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Guarded, startGuarded } from "../../support/accounts.js";
import { openRest, type Rest } from "../../support/transports/rest.js";
import { type Apps, type Names, openApps, USERS, unknownNames } from "./apps.js";

/** A request, and what a User is answered to it: 403, or as if there were no such thing. */
interface Trial {
  readonly path: string;
  readonly body?: object;
  readonly answer: 403 | string;
}

/** What a User may try with names of another app's sessions, by every path of rest-sessions. */
const TRIALS: Readonly<Record<string, (names: Names) => readonly Trial[]>> = {
  "PUT /{app}/create/{id}": ({ app, userId }) => [
    { path: `/${app}/create/${userId}?ip=::1`, answer: 403 },
    { path: `/${app}/create/${userId}?ip=::1&no_resave=true`, body: { a: 1 }, answer: 403 },
  ],
  "GET /{app}/get/{token}": ({ app, own, token }) => [
    { path: `/${app}/get/${token}`, answer: 403 },
    { path: `/${own}/get/${token}`, answer: "{}" },
  ],
  "POST /{app}/set/{token}": ({ app, own, token }) => [
    { path: `/${app}/set/${token}`, body: { a: 1 }, answer: 403 },
    { path: `/${own}/set/${token}`, body: { a: 1 }, answer: "{}" },
  ],
  "GET /{app}/activity": ({ app, own }) => [
    { path: `/${app}/activity?dt=60`, answer: 403 },
    { path: `/${own}/activity?dt=60`, answer: '{"activity":1}' },
  ],
  "GET /{app}/soapp": ({ app }) => [{ path: `/${app}/soapp?dt=60`, answer: 403 }],
  "GET /{app}/soid/{id}": ({ app, own, userId }) => [
    { path: `/${app}/soid/${userId}`, answer: 403 },
    { path: `/${own}/soid/${userId}`, answer: '{"sessions":[]}' },
  ],
  "DELETE /{app}/kill/{token}": ({ app, own, token }) => [
    { path: `/${app}/kill/${token}`, answer: 403 },
    { path: `/${own}/kill/${token}`, answer: '{"kill":0}' },
  ],
  "DELETE /{app}/killsoid/{id}": ({ app, own, userId }) => [
    { path: `/${app}/killsoid/${userId}`, answer: 403 },
    { path: `/${own}/killsoid/${userId}`, answer: '{"kill":0}' },
  ],
  "DELETE /{app}/killall": ({ app, own }) => [
    { path: `/${app}/killall`, answer: 403 },
    { path: `/${own}/killall`, answer: 403 },
  ],
  "GET /ping": () => [{ path: "/ping", answer: "PONG" }],
};

let server: Guarded;
let apps: Apps;
let rest: Rest;
before(async () => {
  server = await startGuarded();
  apps = openApps(server);
  rest = openRest(server.http);
});
after(async () => {
  rest.close();
  apps.close();
  await server.close();
});

async function call(row: string, { path, body }: Trial, authorization?: string) {
  const [method = ""] = row.split(" ");
  const content = body && { content: JSON.stringify(body), type: "application/json" };
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await rest.call(method, path, content, headers);
  return { status: answer.status, text: answer.text, headers: answer.headers };
}

test("the table has a row for every path but those of RKE", async () => {
  const { text } = await rest.call("GET", "/openapi.json", undefined, {
    authorization: server.ann.bearer,
  });
  const { paths } = JSON.parse(text) as { paths: Record<string, object> };
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const others = rows.filter((row) => !row.includes(" /api/rke/"));
  assert.deepEqual(others.toSorted(), Object.keys(TRIALS).toSorted());
});

for (const [row, trialsOf] of Object.entries(TRIALS)) {
  test(`${row} is refused without credentials, whatever exists`, async () => {
    const names = await apps.fill("forum", "shop");
    const sessions = await apps.sessions();
    for (const trial of [...trialsOf(names), ...trialsOf(unknownNames(names))]) {
      const { status, text, headers } = await call(row, trial);
      assert.equal(status, 401);
      assert.match(
        text,
        /^{"name":"unauthenticated","message":"the call needs credentials[^"]*"}$/,
      );
      assert.match(headers["www-authenticate"] ?? "", /^Bearer .*, Basic /);
    }
    assert.deepEqual(await apps.sessions(), sessions);
  });

  for (const { name, own, others } of USERS) {
    test(`${row} shows and changes nothing of another's app for ${name}`, async () => {
      const { bearer } = server[name];
      await apps.fill(own, own);
      for (const app of others) {
        const names = await apps.fill(app, own);
        const sessions = await apps.sessions();
        const unknown = trialsOf(unknownNames(names));
        for (const [at, trial] of trialsOf(names).entries()) {
          const { status, text } = await call(row, trial, bearer);
          if (trial.answer === 403) assert.match(text, /^{"name":"forbidden",/);
          else assert.equal(text, trial.answer);
          assert.equal(status, trial.answer === 403 ? 403 : 200);
          // It cannot tell whether what it named exists.
          const other = await call(row, unknown[at] ?? assert.fail(), bearer);
          assert.deepEqual([other.status, other.text], [status, text]);
        }
        assert.deepEqual(await apps.sessions(), sessions);
      }
    });
  }

  test(`${row} answers an Admin of every app`, async () => {
    const count = trialsOf({} as Names).length;
    for (let at = 0; at < count; at++) {
      // A new one for each, as some of them end it.
      const names = await apps.fill("forum", "forum");
      const { status, text } = await call(
        row,
        trialsOf(names)[at] ?? assert.fail(),
        server.admin.bearer,
      );
      assert.equal(status, 200, text);
      assert.doesNotMatch(text, /^{}$|{"kill":0}|\[\]/);
    }
  });
}

test("soapp shows a User the sessions of its own app alone", async () => {
  for (const app of ["shop", "forum"]) await apps.fill(app, "shop");
  const { text } = await call(
    "GET /{app}/soapp",
    { path: "/shop/soapp?dt=60", answer: "" },
    server.ann.bearer,
  );
  const { sessions } = JSON.parse(text) as { sessions: { id: string }[] };
  assert.deepEqual([...new Set(sessions.map(({ id }) => id))], ["shop-user"]);
});
