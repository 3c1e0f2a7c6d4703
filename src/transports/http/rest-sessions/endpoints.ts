import { LatchkeyError } from "../../../domain/error.js";
import { checkApp, checkIp, checkUserId } from "../../../domain/limits.js";
import { chain, type MaybePromise } from "../../../lib/maybe-promise.js";
import type { Sessions } from "../../../services/sessions/sessions.js";
import { sessionAnswer } from "./answer.js";
import { readData, readFlag, readInitialData, readSeconds, readText, readToken } from "./input.js";
import { sessionsText, textsByCreation, textsByRecency } from "./session-texts.js";

/** What an endpoint reads of a request: decoded path and query parameters and the JSON body. */
export interface RestRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

export interface EndpointOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Rejects if the store cannot serve. */
  readonly ping: () => Promise<void>;
}

/**
 * The endpoints of rest-sessions 2.0.1, each by the name of its verb: request and
 * the use cases as its caller may use them in, answer out: a JSON value, or the parts of one's
 * text. Parameters are checked in the order in which rest-sessions checked them.
 */
export function createEndpoints({ now, ping }: EndpointOptions) {
  return {
    async create({ params, query, body }: RestRequest, sessions: Sessions) {
      const app = checkApp(params["app"] ?? "");
      const userId = checkUserId(params["id"] ?? "");
      const ip = checkIp(readText(query["ip"]));
      const ttl = query["ttl"] ? { idleTtl: readSeconds("ttl", query["ttl"]) } : {};
      const data = readInitialData(body);
      const isFixed = readFlag("no_resave", query["no_resave"]);
      const { token } = await sessions.create({ app, userId, ip, data, isFixed, ...ttl });
      return { token };
    },

    get({ params }: RestRequest, sessions: Sessions) {
      const { app = "" } = params;
      const token = readToken(params["token"], app, sessions);
      return orEmpty(() =>
        chain(sessions.touch(app, token), ({ before, after }) =>
          sessionAnswer(before, after === before ? now() : after.lastAccessedAt),
        ),
      );
    },

    async set({ params, body }: RestRequest, sessions: Sessions) {
      const app = checkApp(params["app"] ?? "");
      const token = readToken(params["token"], app, sessions);
      const data = readData(body);
      return orEmpty(async () => {
        const { before, after } = await sessions.update({ app, token, data });
        return sessionAnswer(after, after.lastAccessedAt, before.lastAccessedAt);
      });
    },

    async activity({ params, query }: RestRequest, sessions: Sessions) {
      const app = checkApp(params["app"] ?? "");
      const seconds = readSeconds("dt", query["dt"]);
      return { activity: await sessions.countActiveUsers(app, seconds) };
    },

    soapp({ params, query }: RestRequest, sessions: Sessions) {
      const app = checkApp(params["app"] ?? "");
      const activeWithin = readSeconds("dt", query["dt"]);
      return sessionsText(textsByRecency(sessions, { app, activeWithin }, now()));
    },

    soid({ params }: RestRequest, sessions: Sessions) {
      const app = checkApp(params["app"] ?? "");
      const userId = params["id"] ?? "";
      return sessionsText(textsByCreation(sessions, { app, userId }, now()));
    },

    async kill({ params }: RestRequest, sessions: Sessions) {
      const { app = "" } = params;
      const token = readToken(params["token"], app, sessions);
      try {
        await sessions.delete(app, { token });
        return { kill: 1 };
      } catch (error) {
        if (isNotFound(error)) return { kill: 0 };
        throw error;
      }
    },

    async killsoid({ params }: RestRequest, sessions: Sessions) {
      return {
        kill: await sessions.deleteUser(params["app"] ?? "", params["id"] ?? ""),
      };
    },

    async killall({ params }: RestRequest, sessions: Sessions) {
      return { kill: await sessions.deleteApp(params["app"] ?? "") };
    },

    async ping() {
      await ping();
      return "PONG";
    },
  };
}

export type Endpoints = ReturnType<typeof createEndpoints>;

/** A session that is not there is `{}` here, not an error. */
function orEmpty<T>(answer: () => MaybePromise<T>): MaybePromise<T | Record<string, never>> {
  const empty = (error: unknown) => {
    if (isNotFound(error)) return {};
    throw error;
  };
  try {
    const value = answer();
    return value instanceof Promise ? value.catch(empty) : value;
  } catch (error) {
    return empty(error);
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof LatchkeyError && error.code === "not_found";
}
