import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import type { RKE_ENDPOINTS } from "../../../src/transports/http/rke/endpoints.js";
import { WALLET } from "../../support/rke/fake-exchange.js";
import { JSON_TYPE, openRest, type Rest, type RestAnswer } from "../../support/transports/rest.js";
import { MINUTE, SECOND, startServer, type TestServer } from "../../support/transports/server.js";

const METHODS = ["GET", "POST"] as const;
type Method = (typeof METHODS)[number];

const PATHS = {
  rke_discover: "/api/rke/discover",
  rke_session_create: "/api/rke/session",
  rke_sessions: "/api/rke/sessions",
  rke_encrypt: "/api/rke/encrypt",
  rke_decrypt: "/api/rke/decrypt",
  rke_session_delete: "/api/rke/session/delete",
} as const satisfies Record<keyof typeof RKE_ENDPOINTS, string>;
type Command = keyof typeof PATHS;
const COMMANDS = Object.keys(PATHS) as Command[];

const UNKNOWN = "a1b2c3d4e5f67890a1b2c3d4e5f67890";
const NONCE = "000102030405060708090a0b0c0d0e0f";

let server: TestServer;
let rest: Rest;
before(async () => {
  server = await startServer();
  rest = openRest(server.http);
});
after(async () => {
  rest.close();
  await server.close();
});
beforeEach(async () => {
  for (const { session_id } of await sessions()) {
    await call("GET", "rke_session_delete", { session_id });
  }
});

async function call(
  method: Method,
  command: Command,
  parameters: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<RestAnswer> {
  if (method === "GET") {
    const query = new URLSearchParams(parameters as Record<string, string>);
    return rest.call("GET", `${PATHS[command]}?${query}`, undefined, headers);
  }
  const content = JSON.stringify(parameters);
  return rest.call("POST", PATHS[command], { content, type: "application/json" }, headers);
}

/** The body of an answer of this status, whose text is as JSON.stringify would write it. */
function bodyOf({ status, headers, text }: RestAnswer, expected = 200) {
  assert.equal(status, expected, text);
  assert.equal(headers["content-type"], JSON_TYPE);
  return JSON.parse(text) as Record<string, unknown>;
}

async function create(method: Method = "GET", domain = "content.example.com"): Promise<string> {
  const answer = await call(method, "rke_session_create", { domain, wallet_path: WALLET });
  return String(bodyOf(answer)["session_id"]);
}

async function sessions() {
  const { sessions } = bodyOf(await call("GET", "rke_sessions"));
  return sessions as { session_id: string; encrypt_count: number; decrypt_count: number }[];
}

/** The error that an answer is; it must have nothing else in it. */
function assertError(answer: RestAnswer, code: number, message: string, sessionId?: string): void {
  const given = sessionId === undefined ? {} : { session_id: sessionId };
  bodyOf(answer, code);
  assert.equal(answer.text, JSON.stringify({ error: true, message, code, ...given }));
}

/** An instant from now as the API writes it: the server's clock begins on a whole second. */
const time = (from = 0) => `${new Date(server.clock.now() + from).toISOString().slice(0, 19)}Z`;

for (const method of METHODS) {
  test(`discover, by ${method}, answers as documented`, async () => {
    const answer = await call(method, "rke_discover", { domain: "content.example.com" });
    assert.deepEqual(Object.entries(bodyOf(answer)), [
      ["command", "rke_discover"],
      ["success", true],
      ["domain", "content.example.com"],
      ["target_host", "cs.content.example.com"],
      ["target_port", 9_999],
      ["min_raidas_required", 13],
      [
        "key_sets",
        [
          { key_id: 1, cs_id: "EXAMPLE_SERVER", server_count: 25 },
          { key_id: 2, cs_id: "EXAMPLE_OTHER", server_count: 20 },
        ],
      ],
    ]);
  });

  test(`create, by ${method}, answers as documented`, async () => {
    for (const isKept of [false, true]) {
      const domain = `${method.toLowerCase()}.example.com`;
      const answer = await call(method, "rke_session_create", { domain, wallet_path: WALLET });
      const body = bodyOf(answer);
      assert.match(String(body["session_id"]), /^[0-9a-f]{32}$/);
      assert.deepEqual(Object.entries(body), [
        ["command", "rke_session_create"],
        ["success", true],
        ["session_id", body["session_id"]],
        ["domain", domain],
        ["cs_id", "EXAMPLE_SERVER"],
        ["expires_at", time(60 * MINUTE)],
        ["from_cache", isKept],
      ]);
    }
  });

  test(`the list, by ${method}, answers as documented, with sessions and without`, async () => {
    const empty = await call(method, "rke_sessions");
    assert.equal(
      empty.text,
      '{"command":"rke_sessions","success":true,"total":0,"active":0,"sessions":[]}',
    );
    const first = await create();
    const created = time();
    server.clock.advance(30 * MINUTE + 1);
    const second = await create(method, "media.cloudcoin.global");
    const session = (id: string, domain: string, csId: string, from: string, to: string) => ({
      session_id: id,
      domain,
      cs_id: csId,
      created_at: from,
      expires_at: to,
      encrypt_count: 0,
      decrypt_count: 0,
    });
    const { text } = await call(method, "rke_sessions");
    assert.equal(
      text,
      JSON.stringify({
        command: "rke_sessions",
        success: true,
        total: 2,
        active: 2,
        sessions: [
          session(first, "content.example.com", "EXAMPLE_SERVER", created, time(30 * MINUTE - 1)),
          session(second, "media.cloudcoin.global", "MEDIA_SERVER_1", time(), time(60 * MINUTE)),
        ],
      }),
    );
    assert.match(created, /^2040-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test(`delete, by ${method}, answers as documented, the second time that there is none`, async () => {
    const id = await create();
    const answer = await call(method, "rke_session_delete", { session_id: id });
    assert.equal(
      answer.text,
      JSON.stringify({ command: "rke_session_delete", success: true, session_id: id }),
    );
    assert.equal(answer.status, 200);
    for (const unknown of [id, UNKNOWN, "nonexistent00000000000000000000"]) {
      const refused = await call(method, "rke_session_delete", { session_id: unknown });
      assertError(refused, 404, "Session not found", unknown);
    }
  });

  test(`encrypt and decrypt, by ${method}, answer as documented, by AES-256-CTR`, async () => {
    const id = await create();
    for (const text of ["a", "hello, world", "~~~???", "x".repeat(5_000)]) {
      const plaintext = Buffer.from(text).toString("base64");
      const sealed = bodyOf(await call(method, "rke_encrypt", { session_id: id, plaintext }));
      const { ciphertext, nonce } = sealed as { ciphertext: string; nonce: string };
      assert.match(nonce, /^[0-9a-f]{32}$/);
      const key = server.exchange.keyOf("content.example.com");
      const cipher = createCipheriv("aes-256-ctr", key, Buffer.from(nonce, "hex"));
      assert.deepEqual(Object.entries(sealed), [
        ["command", "rke_encrypt"],
        ["success", true],
        ["ciphertext", cipher.update(text).toString("base64")],
        ["nonce", nonce],
        ["length", text.length],
      ]);
      for (const given of [nonce, nonce.toUpperCase()]) {
        const parameters = { session_id: id, ciphertext, nonce: given };
        const { text: opened } = await call(method, "rke_decrypt", parameters);
        assert.equal(
          opened,
          JSON.stringify({ command: "rke_decrypt", success: true, plaintext, length: text.length }),
        );
      }
    }
    const [session] = await sessions();
    assert.deepEqual([session?.encrypt_count, session?.decrypt_count], [4, 8]);
  });

  test(`encrypt and decrypt, by ${method}, find no session that is unknown, deleted or expired`, async () => {
    const [deleted, expired] = [await create(), await create()];
    await call(method, "rke_session_delete", { session_id: deleted });
    server.clock.advance(60 * MINUTE);
    for (const id of [UNKNOWN, deleted, expired, "nonsense"]) {
      const encrypted = await call(method, "rke_encrypt", { session_id: id, plaintext: "YQ==" });
      assertError(encrypted, 404, "Session not found or expired", id);
      const parameters = { session_id: id, ciphertext: "YQ==", nonce: NONCE };
      const decrypted = await call(method, "rke_decrypt", parameters);
      assertError(decrypted, 404, "Session not found or expired", id);
    }
  });

  test(`what is missing or malformed, by ${method}, is 400 and names the parameter`, async () => {
    const id = await create();
    const trials: [Command, Record<string, string>, string][] = [
      ["rke_discover", {}, "domain is required"],
      ["rke_discover", { domain: "a b" }, "domain must be a DNS name such as content.example.com"],
      ["rke_session_create", { wallet_path: WALLET }, "domain is required"],
      ["rke_session_create", { domain: "a.example" }, "wallet_path is required"],
      ["rke_session_delete", {}, "session_id is required"],
      ["rke_session_delete", { session_id: "" }, "session_id is required"],
      ["rke_encrypt", { plaintext: "YQ==" }, "session_id is required"],
      ["rke_encrypt", { session_id: id }, "plaintext is required"],
      ["rke_decrypt", { session_id: id, ciphertext: "YQ==" }, "nonce is required"],
      ["rke_decrypt", { session_id: id, nonce: NONCE }, "ciphertext is required"],
      ...["Y", "YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "-_==", "====", "YQ==YQ=="].map(
        (plaintext): (typeof trials)[number] => [
          "rke_encrypt",
          { session_id: id, plaintext },
          "Invalid base64 encoding",
        ],
      ),
      ["rke_decrypt", { session_id: id, ciphertext: "!", nonce: NONCE }, "Invalid base64 encoding"],
      ...["00", `${NONCE}0`, "g".repeat(32)].map((nonce): (typeof trials)[number] => [
        "rke_decrypt",
        { session_id: id, ciphertext: "YQ==", nonce },
        "nonce must be 32 hexadecimal characters",
      ]),
    ];
    for (const [command, parameters, message] of trials) {
      const given = parameters["session_id"] || undefined;
      assertError(await call(method, command, parameters), 400, message, given);
    }
  });

  test(`failures of discovery and exchange, by ${method}, have the status that fits`, async () => {
    for (const [reason, status] of [
      ["no_such_domain", 404],
      ["no_srv", 404],
      ["wallet_missing", 400],
      ["too_few_shares", 502],
      ["share_too_short", 502],
      ["dns_failed", 502],
    ] as const) {
      const domain = `${reason.replaceAll("_", "-")}.fails.example`;
      const parameters = { domain, wallet_path: WALLET };
      const message = `${domain}: ${reason}`;
      assertError(await call(method, "rke_session_create", parameters), status, message);
      assertError(await call(method, "rke_discover", { domain }), status, message);
    }
    const fault = { domain: "fault.fails.example", wallet_path: WALLET };
    assertError(await call(method, "rke_session_create", fault), 500, "internal server error");
    assert.deepEqual(await sessions(), []);
  });

  test(`a 17th session, by ${method}, is 429`, async () => {
    for (let count = 0; count < 16; count++) await create(method);
    const refused = await call(method, "rke_session_create", {
      domain: "content.example.com",
      wallet_path: WALLET,
    });
    assertError(
      refused,
      429,
      "there are 16 sessions, the most that there may be: delete one, or wait until one expires",
    );
  });
}

test("expired sessions that were not swept yet are in total, but not active", async () => {
  await create();
  server.clock.advance(60 * MINUTE - SECOND);
  await create();
  server.clock.advance(SECOND);
  // At once, so that the sweep has had no time; it may have, so total is 1 or 2.
  const { total, active, sessions: listed } = bodyOf(await call("GET", "rke_sessions"));
  assert.ok(total === 1 || total === 2, String(total));
  assert.equal(active, 1);
  assert.equal((listed as unknown[]).length, 1);
});

test("parameters that are no text are refused, as are bodies that are no JSON object", async () => {
  const id = await create();
  const twice = `${PATHS.rke_encrypt}?session_id=${id}&plaintext=YQ==&plaintext=YQ==`;
  assertError(await rest.call("GET", twice), 400, "plaintext must be given once");
  for (const value of [1, null, true, {}, ["YQ=="]]) {
    const answer = await call("POST", "rke_encrypt", { session_id: id, plaintext: value });
    assertError(answer, 400, "plaintext must be a text, given once", id);
  }
  assertError(
    await call("POST", "rke_session_delete", { session_id: 1 }),
    400,
    "session_id must be a text, given once",
  );
  for (const [content, type] of [
    ["domain=a.example", "application/x-www-form-urlencoded"],
    ['{"domain":"a.example"}', "text/plain"],
    ["[]", "application/json"],
    ["null", "application/json"],
  ] as const) {
    assertError(
      await rest.call("POST", PATHS.rke_discover, { content, type }),
      400,
      "the parameters must be a JSON object, sent with content-type: application/json",
    );
  }
  const broken = { content: "{", type: "application/json" };
  assertError(await rest.call("POST", PATHS.rke_discover, broken), 400, "the body must be JSON");
});

test("a body of up to 1 MiB is taken, a larger one is 413", async () => {
  const id = await create();
  const plaintext = Buffer.alloc(780_000).toString("base64");
  const { length } = bodyOf(await call("POST", "rke_encrypt", { session_id: id, plaintext }));
  assert.equal(length, 780_000);
  const large = { session_id: id, plaintext: "A".repeat(1_048_576) };
  assertError(
    await call("POST", "rke_encrypt", large),
    413,
    "the body must be at most 1048576 bytes",
  );
});

test("a browser that navigates changes nothing, but may look; scripts of its own pages may all", async () => {
  const id = await create();
  const parameters: Record<Command, Record<string, string>> = {
    rke_discover: { domain: "content.example.com" },
    rke_sessions: {},
    rke_session_create: { domain: "content.example.com", wallet_path: WALLET },
    rke_encrypt: { session_id: id, plaintext: "YQ==" },
    rke_decrypt: { session_id: id, ciphertext: "YQ==", nonce: NONCE },
    rke_session_delete: { session_id: id },
  };
  const before = await sessions();
  for (const site of ["none", "same-origin"]) {
    const headers = { "sec-fetch-site": site, "sec-fetch-mode": "navigate" };
    for (const command of COMMANDS) {
      const { status } = await call("GET", command, parameters[command], headers);
      const isHarmless = command === "rke_discover" || command === "rke_sessions";
      assert.equal(status, isHarmless ? 200 : 403, command);
    }
  }
  assert.deepEqual(await sessions(), before);
  const headers = { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" };
  for (const command of COMMANDS) bodyOf(await call("GET", command, parameters[command], headers));
});

test("a page of another origin is refused, whatever it asks for", async () => {
  for (const command of COMMANDS) {
    const { status } = await call("GET", command, {}, { "sec-fetch-site": "cross-site" });
    assert.equal(status, 403, command);
  }
});

test("other methods find nothing: HEAD makes no session", async () => {
  for (const method of ["HEAD", "PUT", "DELETE"]) {
    const query = `domain=content.example.com&wallet_path=${WALLET}`;
    const { status } = await rest.call(method, `${PATHS.rke_session_create}?${query}`);
    assert.equal(status, 404, method);
  }
  assert.deepEqual(await sessions(), []);
});

test("an app of the name api has its sessions beside these paths", async () => {
  const { text } = await rest.call("PUT", "/api/create/rke?ip=::1");
  const { token } = JSON.parse(text) as { token: string };
  assert.equal(JSON.parse((await rest.call("GET", `/api/get/${token}`)).text).id, "rke");
});
