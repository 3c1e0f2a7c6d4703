import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type DescMethod, type Message, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/ts/google/rpc/error_details_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { type Guarded, startGuarded } from "../../support/accounts.js";
import { assertRefused } from "../../support/transports/case.js";
import { openRawWire } from "../../support/transports/raw.js";
import { openWire, WIRES, type Wire } from "../../support/transports/wires.js";
import { type Apps, altered, type Names, openApps, USERS, unknownNames } from "./apps.js";

type Methods = typeof SessionService.method;
type MethodName = keyof Methods;

/**
 * What a User gets: refused for the app; refused as if there were no such thing; an answer without
 * anything of another app.
 */
type Outcome = "FORBIDDEN" | "NOT_FOUND" | "INVALID" | "nothing";

/** What a User may try with names of another app's sessions, by every RPC. */
const TRIALS: {
  readonly [M in MethodName]: (
    names: Names,
  ) => readonly [MessageInitShape<Methods[M]["input"]>, Outcome][];
} = {
  createSession: ({ app, userId }) => [[{ app, userId }, "FORBIDDEN"]],
  getSession: ({ app, own, token }) => [
    [{ app, token }, "FORBIDDEN"],
    [{ app, token, peek: true }, "FORBIDDEN"],
    [{ app, token, ip: "192.0.2.9" }, "FORBIDDEN"],
    [{ app: own, token }, "NOT_FOUND"],
    [{ app: own, token, peek: true }, "NOT_FOUND"],
  ],
  batchGetSessions: ({ app, own, token }) => [
    [{ app, tokens: [token] }, "FORBIDDEN"],
    [{ app, tokens: [token], peek: true }, "FORBIDDEN"],
    [{ app: own, tokens: [token] }, "nothing"],
    [{ app: own, tokens: [token], peek: true }, "nothing"],
  ],
  updateSession: ({ app, own, token }) => [
    [{ app, token, data: { a: 1 } }, "FORBIDDEN"],
    [{ app, token, data: { a: 1 }, expectedVersion: 1n }, "FORBIDDEN"],
    [{ app: own, token, data: { a: 1 } }, "NOT_FOUND"],
    [{ app: own, token, data: { a: 1 }, expectedVersion: 9n }, "NOT_FOUND"],
  ],
  extendSession: ({ app, own, token }) => [
    [{ app, token, idleTtl: { seconds: 10n } }, "FORBIDDEN"],
    [{ app: own, token, absoluteTtl: { seconds: 10n } }, "NOT_FOUND"],
  ],
  rotateToken: ({ app, own, token }) => [
    [{ app, token }, "FORBIDDEN"],
    [{ app: own, token }, "NOT_FOUND"],
    [{ app: own, token, expectedVersion: 9n }, "NOT_FOUND"],
  ],
  deleteSession: ({ app, own, token, sessionId }) => [
    [{ app, target: { case: "token", value: token } }, "FORBIDDEN"],
    [{ app, target: { case: "sessionId", value: sessionId } }, "FORBIDDEN"],
    [{ app: own, target: { case: "token", value: token } }, "NOT_FOUND"],
    [{ app: own, target: { case: "sessionId", value: sessionId } }, "NOT_FOUND"],
    [{ app: own, target: { case: "token", value: token }, allowMissing: true }, "nothing"],
  ],
  deleteUserSessions: ({ app, own, userId, token, sessionId }) => [
    [{ app, userId, keep: { case: "keepToken", value: token } }, "FORBIDDEN"],
    [{ app, userId, keep: { case: "keepSessionId", value: sessionId } }, "FORBIDDEN"],
    [{ app, userId }, "FORBIDDEN"],
    [{ app: own, userId }, "nothing"],
    [{ app: own, userId, keep: { case: "keepToken", value: token } }, "NOT_FOUND"],
    [{ app: own, userId, keep: { case: "keepSessionId", value: sessionId } }, "NOT_FOUND"],
  ],
  deleteAppSessions: ({ app, own }) => [
    [{ app }, "FORBIDDEN"],
    [{ app: own }, "FORBIDDEN"],
  ],
  listSessions: ({ app, own, token, pageToken }) => [
    [{ app }, "FORBIDDEN"],
    [{ app, currentToken: token }, "FORBIDDEN"],
    [{ app, activeWithin: { seconds: 60n } }, "FORBIDDEN"],
    [{ app, pageToken }, "FORBIDDEN"],
    [{ app: own, pageToken }, "INVALID"],
  ],
  listUserSessions: ({ app, own, userId, token, userPageToken }) => [
    [{ app, userId }, "FORBIDDEN"],
    [{ app: own, userId, currentToken: token }, "nothing"],
    [{ app, userId, pageToken: userPageToken }, "FORBIDDEN"],
    [{ app: own, userId }, "nothing"],
    [{ app: own, userId, pageToken: userPageToken }, "INVALID"],
  ],
  countActiveUsers: ({ app, own }) => [
    [{ app, activeWithin: { seconds: 60n } }, "FORBIDDEN"],
    [{ app: own, activeWithin: { seconds: 60n } }, "nothing"],
  ],
  getAppPolicy: ({ app, own }) => [
    [{ app }, "FORBIDDEN"],
    [{ app: own }, "nothing"],
  ],
  setAppPolicy: ({ app, own }) => [
    [{ app, policy: { maxIdleTtl: { seconds: 9_000n } } }, "FORBIDDEN"],
    [{ app: own, policy: {} }, "FORBIDDEN"],
  ],
  watchSessions: ({ app, own, userId }) => [
    [{ app }, "FORBIDDEN"],
    [{ app, userId }, "FORBIDDEN"],
    [{ app, resumeRevision: 1n, includeTouches: true }, "FORBIDDEN"],
    [{ app: own, userId }, "nothing"],
  ],
  getCurrentSession: () => [[{}, "nothing"]],
  listCallers: () => [
    [{}, "FORBIDDEN"],
    [{ pageSize: 1, pageToken: "1" }, "FORBIDDEN"],
  ],
};

const METHODS = SessionService.methods.map(({ localName }) => localName as MethodName);

/** How a call was answered, in plain JSON. */
interface Answer {
  readonly outcome: string;
  readonly text: string;
}

/** Calls an RPC with an `authorization` header, or none. */
async function call(
  wire: Wire,
  name: MethodName,
  request: object,
  authorization?: string,
): Promise<Answer> {
  const client = wire.client(SessionService);
  const { output }: DescMethod = SessionService.method[name];
  const headers = authorization === undefined ? {} : { authorization };
  /** The first response of a watch. */
  const first = async (request: object, options: object): Promise<Message> => {
    for await (const response of client.watchSessions(request, options)) return response;
    return assert.fail("the stream ended without a response");
  };
  try {
    // The table gives each method a request of its type.
    const rpc = client[name] as (request: object, options: object) => Promise<Message>;
    const answer = name === "watchSessions" ? first : rpc;
    return {
      outcome: "answered",
      text: JSON.stringify(toJson(output, await answer(request, { headers }))),
    };
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const [info] = error.findDetails(ErrorInfoSchema);
    const blamed = error
      .findDetails(BadRequestSchema)
      .map(({ fieldViolations }) => fieldViolations);
    const text = JSON.stringify([Code[error.code], error.rawMessage, blamed]);
    return { outcome: info?.reason ?? "", text };
  }
}

test("the table has a row for every RPC", () => {
  assert.deepEqual(METHODS.toSorted(), Object.keys(TRIALS).toSorted());
});

for (const wireName of WIRES) {
  describe(`over ${wireName}`, () => {
    let server: Guarded;
    let apps: Apps;
    let wire: Wire;
    before(async () => {
      server = await startGuarded();
      apps = openApps(server);
      wire = openWire(wireName, server);
    });
    after(async () => {
      wire.close();
      apps.close();
      await server.close();
    });

    for (const name of METHODS) {
      test(`${name} is refused without credentials, whatever exists`, async () => {
        const names = await apps.fill("shop", "shop-eu");
        const sessions = await apps.sessions();
        const send = async (names: Names) => {
          const requests = TRIALS[name](names).map(([request]) => request);
          return Promise.all(requests.map((request) => call(wire, name, request)));
        };
        const answers = await send(names);
        for (const { outcome } of answers) assert.equal(outcome, "UNAUTHENTICATED");
        assert.deepEqual(await send(unknownNames(names)), answers);
        assert.deepEqual(await apps.sessions(), sessions);
      });

      test(`${name} answers an Admin of every app`, async () => {
        const count = TRIALS[name]({} as Names).length;
        for (let at = 0; at < count; at++) {
          // A new one for each, as some of them end it.
          const names = await apps.fill("forum", "shop");
          const [request, outcome] = TRIALS[name](names)[at] ?? assert.fail();
          if (outcome !== "FORBIDDEN") continue;
          const answer = await call(wire, name, request, server.admin.bearer);
          assert.equal(answer.outcome, "answered", answer.text);
        }
      });

      for (const { name: account, own, others } of USERS) {
        test(`${name} shows and changes nothing of another's app for ${account}`, async () => {
          const { bearer } = server[account];
          await apps.fill(own, own);
          for (const app of others) {
            const names = await apps.fill(app, own);
            const unknown = TRIALS[name](unknownNames(names));
            const sessions = await apps.sessions();
            for (const [at, [request, outcome]] of TRIALS[name](names).entries()) {
              const answer = await call(wire, name, request, bearer);
              const expected = outcome === "nothing" ? "answered" : outcome;
              assert.equal(answer.outcome, expected, `trial ${at}`);
              for (const secret of [names.userId, names.sessionId, names.token]) {
                assert.ok(!answer.text.includes(secret), answer.text);
              }
              // It cannot tell whether what it named exists.
              const [other] = unknown[at] ?? assert.fail();
              assert.deepEqual(await call(wire, name, other, bearer), answer);
            }
            assert.deepEqual(await apps.sessions(), sessions);
          }
        });
      }
    }

    test("what cannot be decoded is refused for its missing credentials first", async () => {
      const raw = openRawWire(wireName, server);
      const bytes = raw.json ? Buffer.from('{"app":5}') : Buffer.from([0xff]);
      const refused = { code: Code.Unauthenticated, reason: "UNAUTHENTICATED" };
      await assertRefused(raw.send("GetSession", bytes), refused);
      raw.close();
    });

    test("an app that is missing or wrong is INVALID to a User as to an Admin", async () => {
      for (const { bearer } of [server.ann, server.bob, server.admin]) {
        for (const app of ["", "a b", "shop-".repeat(5)]) {
          const { outcome, text } = await call(wire, "listSessions", { app }, bearer);
          assert.equal(outcome, "INVALID");
          assert.match(text, /"field":"app"/);
        }
      }
    });

    test("a User counts and lists the sessions of its own app alone", async () => {
      for (const app of ["shop", "forum"]) await apps.fill(app, "shop");
      const { bearer } = server.ann;
      const counted = { app: "shop", activeWithin: { seconds: 60n } };
      const { text } = await call(wire, "countActiveUsers", counted, bearer);
      assert.equal(text, '{"userCount":"1"}');
      const listed = await call(wire, "listSessions", { app: "shop", pageSize: 1000 }, bearer);
      const { sessions } = JSON.parse(listed.text) as { sessions: { app: string }[] };
      assert.deepEqual([...new Set(sessions.map(({ app }) => app))], ["shop"]);
    });

    test("a page token serves the listing and the account that it was given to, and no other", async () => {
      const { bearer } = server.ann;
      const ours = await apps.fill("shop", "shop");
      const theirs = await apps.fill("forum", "shop");
      const list = (request: object) => call(wire, "listSessions", request, bearer);
      const first = await list({ app: "shop", pageSize: 1 });
      const { nextPageToken: pageToken } = JSON.parse(first.text) as { nextPageToken: string };
      assert.equal((await list({ app: "shop", pageToken })).outcome, "answered");
      assert.equal((await list({ app: "forum", pageToken })).outcome, "FORBIDDEN");
      for (const other of [
        ours.pageToken,
        ours.userPageToken,
        theirs.pageToken,
        altered(pageToken),
      ]) {
        assert.equal((await list({ app: "shop", pageToken: other })).outcome, "INVALID");
      }
      const request = { app: "shop", userId: ours.userId, pageToken: ours.userPageToken };
      assert.equal((await call(wire, "listUserSessions", request, bearer)).outcome, "INVALID");
    });
  });
}
