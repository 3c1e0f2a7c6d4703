import { Code, type Client as ConnectClient, ConnectError } from "@connectrpc/connect";
import type { Session as Message } from "../../gen/ts/latchkey/session/v1/session_pb.js";
import type { SessionService } from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { LatchkeyError } from "../../src/domain/error.js";
import type { Session } from "../../src/domain/sessions/session.js";
import type { Sessions } from "../../src/services/sessions/sessions.js";
import { APP } from "../support/process/wire.js";
import type { Caller } from "./histories.js";
import type { Answer, Seen } from "./session-object.js";

/** Calls the use cases of sessions, over any store. */
export function callUseCases(sessions: Sessions, userId: () => string): Caller {
  const seen = ({ data, version, reads }: Session): Seen => {
    return { value: Number(data["value"]), version, reads };
  };
  const answerOf = async <T>(call: () => T | Promise<T>, told: (value: T) => Answer) => {
    try {
      return told(await call());
    } catch (error) {
      if (!(error instanceof LatchkeyError)) throw error;
      if (error.code === "not_found") return "absent";
      if (error.code === "version_mismatch") return "rotated";
      throw error;
    }
  };
  return {
    async create(value) {
      const { token, session } = await sessions.create({
        app: APP,
        userId: userId(),
        data: { value },
      });
      return { answer: seen(session), token };
    },
    peek: (token) => answerOf(() => sessions.peek(APP, token), seen),
    touch: (token) =>
      answerOf(
        () => sessions.touch(APP, token),
        ({ after }) => seen(after),
      ),
    update: (token, value) =>
      answerOf(
        () => sessions.update({ app: APP, token, data: { value } }),
        ({ after }) => seen(after),
      ),
    async rotate(token) {
      let next = "";
      const answer = await answerOf(
        () => sessions.rotate({ app: APP, token, grace: 300 }),
        (rotated) => {
          next = rotated.token;
          return seen(rotated.session);
        },
      );
      return { answer, token: next };
    },
    delete: (token) =>
      answerOf(
        () => sessions.delete(APP, { token }),
        () => "done" as const,
      ),
  };
}

/** Calls a server; `timeoutMs` says of each call how long it may take. */
export function callServer(
  client: ConnectClient<typeof SessionService>,
  timeoutMs: () => number,
): Caller {
  const seen = (session: Message | undefined): Seen => ({
    value: Number(session?.data?.["value"]),
    version: Number(session?.version),
    reads: Number(session?.reads),
  });
  const answerOf = async <T>(call: Promise<T>, told: (value: T) => Answer) => {
    try {
      return told(await call);
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (code === Code.DeadlineExceeded || code === Code.Canceled) return undefined;
      if (code === Code.NotFound) return "absent";
      if (code === Code.Aborted) return "rotated";
      throw error;
    }
  };
  const within = () => ({ timeoutMs: timeoutMs() });
  return {
    async create(value) {
      const { token, session } = await client.createSession({
        app: APP,
        userId: "ann",
        data: { value },
      });
      return { answer: seen(session), token };
    },
    peek: (token) =>
      answerOf(client.getSession({ app: APP, token, peek: true }, within()), ({ session }) =>
        seen(session),
      ),
    touch: (token) =>
      answerOf(client.getSession({ app: APP, token }, within()), ({ session }) => seen(session)),
    update: (token, value) =>
      answerOf(
        client.updateSession({ app: APP, token, data: { value } }, within()),
        ({ session }) => seen(session),
      ),
    async rotate(token) {
      let next = "";
      const grace = { seconds: 300n };
      const answer = await answerOf(
        client.rotateToken({ app: APP, token, grace }, within()),
        (rotated) => {
          next = rotated.token;
          return seen(rotated.session);
        },
      );
      return answer && { answer, token: next };
    },
    delete: (token) => {
      const target = { case: "token", value: token } as const;
      return answerOf(client.deleteSession({ app: APP, target }, within()), () => "done" as const);
    },
  };
}
