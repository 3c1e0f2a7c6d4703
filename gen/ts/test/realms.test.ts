import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { SessionService } from "../latchkey/session/v1/session_service_pb.js";
import { LatchkeyError } from "../src/error.js";
import { isRefused, withUnavailable } from "../src/unavailable.js";
import { createLatchkey } from "../src/web.js";

/** Errors of another realm, as Node's are to a test that Jest runs: no instances of this Error. */
const foreign = {
  fetchFailed: () => runInNewContext("new TypeError('fetch failed')"),
  refused: () =>
    runInNewContext("Object.assign(new Error('connect ::1'), { code: 'ECONNREFUSED' })"),
};

test("a fetch that fails in another realm is the network's, and tells no visitor more", async (t) => {
  t.mock.method(globalThis, "fetch", () => Promise.reject(foreign.fetchFailed()));
  const { sessions } = createLatchkey({ baseUrl: "http://localhost", deadline: 100 });
  await assert.rejects(sessions.updateSession({ app: "shop" }), {
    code: Code.Unavailable,
    message: "Latchkey cannot be reached",
  });
});

test("a refusal of Node's in another realm is one", async () => {
  const failing: Transport = {
    ...createRouterTransport(() => undefined),
    unary: () => Promise.reject(ConnectError.from(foreign.refused())),
  };
  const transport = withUnavailable(failing, (cause) => "code" in cause);
  const { getSession } = SessionService.method;
  const call = transport.unary(getSession, undefined, undefined, undefined, {});
  const error = await call.catch((error: unknown) => error);
  assert.ok(error instanceof ConnectError);
  assert.equal(error.code, Code.Unavailable);
  assert.equal(error.rawMessage, "Latchkey cannot be reached");
  assert.ok(isRefused(new LatchkeyError(error)));
});
