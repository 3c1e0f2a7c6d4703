import assert from "node:assert/strict";
import { JSON_TYPE, openRest, type Rest, type RestAnswer } from "./rest.js";
import { type Clock, type StoreKind, type TestServer, withServer } from "./server.js";

/** What a test of the rest-sessions endpoints works with. */
export interface RestTrial {
  readonly server: TestServer;
  readonly rest: Rest;
  readonly clock: Clock;
  /** Creates a session by `PUT /shop/create/<path>` and answers its token. */
  create(path: string, data?: unknown): Promise<string>;
  /** The text of an answer, of which all but the text is as it must be. */
  text(method: string, path: string, value?: unknown): Promise<string>;
}

/** Runs `body` with a new server over `store`. */
export async function withRest(
  store: StoreKind,
  body: (trial: RestTrial) => Promise<void>,
): Promise<void> {
  await withServer(store, async (server) => {
    const rest = openRest(server.http);
    const text: RestTrial["text"] = async (method, path, value) => {
      const answer = await rest.send(method, path, value);
      assertAnswer(answer, answer.text);
      return answer.text;
    };
    try {
      await body({
        server,
        rest,
        clock: server.clock,
        text,
        async create(path, data) {
          const answer = await text("PUT", `/shop/create/${path}`, data);
          return /^{"token":"([A-Za-z0-9]{64})"}$/.exec(answer)?.[1] ?? assert.fail(answer);
        },
      });
    } finally {
      rest.close();
    }
  });
}

/** Asserts an answer to the byte. */
export function assertAnswer(answer: RestAnswer, text: string, status = 200): void {
  assert.equal(answer.text, text);
  assert.equal(answer.status, status);
  assert.equal(answer.headers["content-type"], JSON_TYPE);
  assert.equal(answer.headers["content-length"], `${Buffer.byteLength(text)}`);
}
