import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { openRest } from "../../support/transports/rest.js";
import { startServer } from "../../support/transports/server.js";
import {
  launchBrowser,
  NO_BROWSER,
  openPages,
  openStage,
  play,
  type Stage,
  type Target,
  tricksOf,
} from "./stage.js";

const options = { skip: NO_BROWSER };

let browser: Browser;
let pages: Stage;
before(async () => {
  if (NO_BROWSER) return;
  [browser, pages] = await Promise.all([launchBrowser(), openPages()]);
});
after(async () => {
  await browser?.close();
  await pages?.close();
});

/** Runs `body` with a new page, in a profile of its own. */
async function withPage(body: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext();
  try {
    await body(await context.newPage());
  } finally {
    await context.close();
  }
}

/** A server under attack, and an honest client's view of it. */
interface Trial extends Target {
  /** All that a call could change; looking changes nothing. */
  look(): Promise<string>;
}

const UNTOUCHED =
  '{"sessions":[{"id":"ann","r":1,"w":1,"ttl":7200,"idle":0,"ip":"192.0.2.7","d":{"cart":2}}]}';

/** Runs `body` with a server that allows `origins`, has one session, and listens on `port`. */
async function withServer(
  origins: readonly string[],
  body: (trial: Trial) => Promise<void>,
  port = 0,
): Promise<void> {
  const settings = { http: `127.0.0.1:${port}`, httpOrigins: origins };
  const server = await startServer("memory", "silent", settings);
  const rest = openRest(server.http);
  try {
    const created = await rest.send("PUT", "/shop/create/ann?ip=192.0.2.7", { cart: 2 });
    const { token } = JSON.parse(created.text) as { token: string };
    const look = async () => (await rest.call("GET", "/shop/soapp?dt=600")).text;
    assert.equal(await look(), UNTOUCHED);
    await body({ base: `http://${server.http}`, token, look });
  } finally {
    rest.close();
    await server.close();
  }
}

/** Plays every trick: each may read what `read` matches, and must leave the server as it was. */
async function assertHarmless(page: Page, { look, ...target }: Trial, read: RegExp): Promise<void> {
  for (const name of await tricksOf(page)) {
    assert.match(await play(page, name, target), read, name);
    assert.equal(await look(), UNTOUCHED, name);
  }
}

// Else the others might pass because the browser sends nothing.
test("each trick reaches a server that has no guard", options, async () => {
  const requests = new Map<string, string>();
  const unguarded = await openStage(({ method, url = "", headers }, answer) => {
    const [, number = "", path = ""] = /^\/(\d+)(\/.*)$/.exec(url) ?? [];
    if (method !== "OPTIONS") requests.set(number, `${method} ${path}`);
    answer.writeHead(200, {
      "access-control-allow-origin": headers.origin ?? "*",
      "access-control-allow-methods": headers["access-control-request-method"] ?? "",
      "access-control-allow-headers": headers["access-control-request-headers"] ?? "",
      "access-control-allow-credentials": "true",
      "content-type": "application/json",
    });
    answer.end("{}");
  });
  try {
    await withPage(async (page) => {
      await page.goto(`http://evil.test:${pages.port}/`);
      for (const [number, name] of (await tricksOf(page)).entries()) {
        const base = `http://127.0.0.1:${unguarded.port}/${number}`;
        await play(page, name, { base, token: "token" });
        assert.match(requests.get(`${number}`) ?? "none", /^[A-Z]+ \/(shop|latchkey)/, name);
      }
    });
  } finally {
    await unguarded.close();
  }
});

for (const [title, host] of [
  ["another site", "evil.test"],
  ["another port of the same host", "127.0.0.1"],
] as const) {
  test(`a page of ${title} can neither read nor change anything`, options, () =>
    withServer([`http://app.test:${pages.port}`], (trial) =>
      withPage(async (page) => {
        await page.goto(`http://${host}:${pages.port}/`);
        await assertHarmless(page, trial, /^$/);
      }),
    ),
  );
}

test(
  "a page whose host name is turned to the server can neither read nor change anything",
  options,
  () =>
    withPage(async (page) => {
      // The page's own server gives way to the one under attack: the same host and port.
      const { port, close } = await openPages();
      const base = `http://evil.test:${port}`;
      await page.goto(`${base}/`);
      await close();
      const attack = async (trial: Trial) => {
        const target = { ...trial, base };
        const refusal = /"name":"forbidden".*LATCHKEY_HTTP_HOSTS/;
        // It is the server that refuses, not the browser.
        assert.match(await play(page, "fetch of a session", target), refusal);
        await assertHarmless(page, target, new RegExp(`^$|${refusal.source}`));
      };
      await withServer([], attack, port);
    }),
);

/** What of the tricks is left to a page of an allowed origin: all that says whose page it is. */
const ALLOWED = [
  "fetch of a session",
  "fetch of a list",
  "fetch by a redirect",
  "POST of JSON",
  "PUT of a new session",
  "Connect",
  "gRPC-Web",
  "XMLHttpRequest",
  "DELETE of every session",
];

test("a page of an allowed origin can do the same by scripts, and only by scripts", options, () =>
  withServer([`http://app.test:${pages.port}`], async (trial) =>
    withPage(async (page) => {
      await page.goto(`http://app.test:${pages.port}/`);
      const reading = [];
      for (const name of await tricksOf(page)) {
        if ((await play(page, name, trial)) !== "") reading.push(name);
      }
      assert.deepEqual(reading.sort(), ALLOWED.sort());
      assert.equal(await trial.look(), '{"sessions":[]}');
    }),
  ),
);

/** A page's code as the public pages of the reproduced APIs print it, for the server at `host`. */
const SEED = (host: string) => `(async () => {
  const API_HOST = '${host}';

  async function listRkeSessions() {
    try {
      const response = await fetch(\`\${API_HOST}/api/rke/sessions\`);
      const result = await response.json();
      if (result.success) {
        result.sessions.forEach(session => new Date(session.expires_at));
      }
      return result;
    } catch (error) {
      console.error('Error listing sessions:', error);
    }
  }

  async function deleteRkeSession(sessionId) {
    const url = \`\${API_HOST}/api/rke/session/delete?session_id=\${sessionId}\`;
    const response = await fetch(url);
    const result = await response.json();
    if (result.success) {
      sessionStorage.removeItem('rke_session_id');
    } else {
      console.error('Failed to delete session:', result.message);
    }
    return result;
  }

  async function call(method, path, value) {
    const response = await fetch(\`\${API_HOST}/mywebapp/\${path}\`, {
      method,
      ...(value && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value) }),
    });
    return response.json();
  }

  const { token } = await call('PUT', 'create/user123?ip=192.168.99.22&ttl=86400');
  return [
    await call('GET', \`get/\${token}\`),
    await call('POST', \`set/\${token}\`, { unread_msgs: 12 }),
    await call('GET', 'activity?dt=600'),
    await call('GET', 'soid/user123'),
    await call('DELETE', \`kill/\${token}\`),
    await call('DELETE', 'killsoid/user123'),
    await call('DELETE', 'killall'),
    await listRkeSessions(),
    await deleteRkeSession('a1b2c3d4e5f67890a1b2c3d4e5f67890'),
  ];
})()`;

test("a page of an allowed origin runs the code that the public pages print", options, () =>
  withServer([`http://app.test:${pages.port}`], ({ base }) =>
    withPage(async (page) => {
      await page.goto(`http://app.test:${pages.port}/`);
      const session = { id: "user123", w: 2, ttl: 86400, idle: 0, ip: "192.168.99.22" };
      const set = { ...session, r: 2, d: { unread_msgs: 12 } };
      assert.deepEqual(await page.evaluate(SEED(base)), [
        { ...session, r: 1, w: 1 },
        set,
        { activity: 1 },
        { sessions: [set] },
        { kill: 1 },
        { kill: 0 },
        { kill: 0 },
        { command: "rke_sessions", success: true, total: 0, active: 0, sessions: [] },
        {
          error: true,
          message: "Session not found",
          code: 404,
          session_id: "a1b2c3d4e5f67890a1b2c3d4e5f67890",
        },
      ]);
    }),
  ),
);

test("a page of the server's own origin can do all that a program can", options, () =>
  withServer([], ({ base, token, look }) =>
    withPage(async (page) => {
      await page.goto(`${base}/livez`);
      const path = JSON.stringify(`/shop/set/${token}`);
      const init =
        '{ method: "POST", headers: { "content-type": "application/json" }, body: "{}" }';
      const text = await page.evaluate(`fetch(${path}, ${init}).then((answer) => answer.text())`);
      assert.match(String(text), /^\{"name":"invalidValue"/);
      const killed = page.evaluate(
        'fetch("/shop/killall", { method: "DELETE" }).then((answer) => answer.text())',
      );
      assert.equal(await killed, '{"kill":1}');
      assert.equal(await look(), '{"sessions":[]}');
    }),
  ),
);
