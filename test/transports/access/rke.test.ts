import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { RkeService } from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { type Guarded, startGuarded, type TestAccount } from "../../support/accounts.js";
import { eventually } from "../../support/eventually.js";
import { WALLET } from "../../support/rke/fake-exchange.js";
import { openRest, type Rest } from "../../support/transports/rest.js";
import { openWire, WIRES } from "../../support/transports/wires.js";

const ID = "a1b2c3d4e5f67890a1b2c3d4e5f67890";

/** A request of each unary RPC, right in itself. */
const REQUESTS: Readonly<
  Record<Exclude<keyof typeof RkeService.method, "encryptStream" | "decryptStream">, object>
> = {
  discoverContentServer: { domain: "cs.example" },
  createSession: { domain: "cs.example", walletPath: WALLET },
  getSession: { sessionId: ID },
  listSessions: {},
  deleteSession: { sessionId: ID },
  encrypt: { sessionId: ID, items: [{}] },
  decrypt: { sessionId: ID, items: [{}] },
};

/** The paths of the reproduced API, each with parameters that are right in themselves. */
const PATHS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "/api/rke/discover": { domain: "cs.example" },
  "/api/rke/session": { domain: "cs.example", wallet_path: WALLET },
  "/api/rke/sessions": {},
  "/api/rke/session/delete": { session_id: ID },
  "/api/rke/encrypt": { session_id: ID, plaintext: "YQ==" },
  "/api/rke/decrypt": { session_id: ID, ciphertext: "YQ==", nonce: ID },
};

let server: Guarded;
let rest: Rest;
/** A User with the grant and no apps. */
let vera: TestAccount;
before(async () => {
  server = await startGuarded();
  rest = openRest(server.http);
  vera = await server.add({ name: "vera", rke: true });
  await eventually("the server's knowledge of vera", () =>
    server.logged("account changed").some(({ account, change }) => {
      return account === "vera" && change === "key added";
    }),
  );
});
after(async () => {
  rest.close();
  await server.close();
});

for (const name of WIRES) {
  test(`over ${name} every unary RPC is refused without credentials and without the grant`, async () => {
    const wire = openWire(name, server);
    const client = wire.client(RkeService);
    const codeOf = async (method: keyof typeof REQUESTS, authorization?: string) => {
      const headers = authorization === undefined ? {} : { authorization };
      // The table gives each method a request of its type.
      const rpc = client[method] as (request: object, options: object) => Promise<unknown>;
      try {
        await rpc(REQUESTS[method], { headers });
        return "answered";
      } catch (error) {
        return error instanceof ConnectError ? Code[error.code] : assert.fail(String(error));
      }
    };
    try {
      for (const method of Object.keys(REQUESTS) as (keyof typeof REQUESTS)[]) {
        const isFound = "sessionId" in REQUESTS[method] ? "NotFound" : "answered";
        assert.equal(await codeOf(method), "Unauthenticated", method);
        assert.equal(await codeOf(method, server.ann.bearer), "PermissionDenied", method);
        assert.equal(await codeOf(method, vera.bearer), isFound, method);
        assert.equal(await codeOf(method, server.admin.bearer), isFound, method);
      }
    } finally {
      wire.close();
    }
  });
}

test("a stream is refused without credentials and without the grant", async () => {
  const wire = openWire("gRPC", server);
  const { encryptStream, decryptStream } = wire.client(RkeService);
  const request = { case: "start", value: { sessionId: ID } } as const;
  try {
    for (const open of [encryptStream, decryptStream]) {
      const codeOf = async (headers: Record<string, string>) => {
        async function* requests() {
          yield { request };
        }
        try {
          for await (const _ of open(requests(), { headers }));
          return "answered";
        } catch (error) {
          return error instanceof ConnectError ? Code[error.code] : assert.fail(String(error));
        }
      };
      assert.equal(await codeOf({}), "Unauthenticated");
      assert.equal(await codeOf({ authorization: server.ann.bearer }), "PermissionDenied");
      assert.equal(await codeOf({ authorization: vera.bearer }), "NotFound");
      assert.equal(await codeOf({ authorization: server.admin.bearer }), "NotFound");
    }
  } finally {
    wire.close();
  }
});

test("the paths on trial are those that the description has, each by GET and POST", async () => {
  const headers = { authorization: vera.bearer };
  const { text } = await rest.call("GET", "/openapi.json", undefined, headers);
  const { paths } = JSON.parse(text) as { paths: Record<string, object> };
  const described = Object.entries(paths).filter(([path]) => path.startsWith("/api/rke/"));
  assert.deepEqual(described.map(([path]) => path).sort(), Object.keys(PATHS).sort());
  for (const [, methods] of described)
    assert.deepEqual(Object.keys(methods).sort(), ["get", "post"]);
});

for (const method of ["GET", "POST"]) {
  test(`every path, by ${method}, is refused without credentials and without the grant, in the API's shape`, async () => {
    for (const [path, parameters] of Object.entries(PATHS)) {
      const ask = (headers = {}) =>
        method === "GET"
          ? rest.call("GET", `${path}?${new URLSearchParams(parameters)}`, undefined, headers)
          : rest.call(
              "POST",
              path,
              { content: JSON.stringify(parameters), type: "application/json" },
              headers,
            );
      const anonymous = await ask();
      assert.equal(anonymous.status, 401);
      assert.match(anonymous.headers["www-authenticate"] ?? "", /^Bearer /);
      assert.match(anonymous.text, /^{"error":true,"message":"[^"]+","code":401[,}]/);
      const refused = await ask({ authorization: server.ann.bearer });
      assert.equal(refused.status, 403);
      assert.match(refused.text, /^{"error":true,"message":"[^"]+","code":403[,}]/);
      for (const { bearer } of [vera, server.admin]) {
        const { status } = await ask({ authorization: bearer });
        assert.equal(status, "session_id" in parameters ? 404 : 200, path);
      }
    }
  });
}

test("the grant for RKE lets no one touch an app", async () => {
  const { status } = await rest.call("GET", "/shop/soapp?dt=60", undefined, {
    authorization: vera.bearer,
  });
  assert.equal(status, 403);
});
