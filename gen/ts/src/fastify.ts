import type { JsonObject } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import type { CookieSerializeOptions } from "@fastify/cookie";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ErrorInfoSchema } from "../google/rpc/error_details_pb.js";
import type { Session } from "../latchkey/session/v1/session_pb.js";
import type { Latchkey } from "./clients.js";
import { Code, LatchkeyError } from "./error.js";
import { toUserId } from "./user-id.js";

export interface LatchkeyPluginOptions {
  readonly latchkey: Latchkey;
  /** The app that the sessions belong to. */
  readonly app: string;
  /** Of the cookie; `sid` by default. */
  readonly cookieName?: string;
  /** Beside `path: "/"`, `httpOnly`, `sameSite: "lax"` and `secure: "auto"`, which it may replace. */
  readonly cookie?: CookieSerializeOptions;
}

/**
 * The session of a request, and what can become of it. Failures are LatchkeyErrors. A handler may
 * return a session: JSON.stringify writes it as Protobuf's JSON, 64-bit numbers as texts.
 */
export interface RequestSession {
  /** As it was read, or as the last of these calls left it; null if the user is not logged in. */
  readonly current: Session | null;
  /** Begins a session of the user, with a token that nobody knew; ends the one before. */
  login(userId: string | number | bigint, data?: JsonObject): Promise<Session>;
  /** Merges `data` into the session's: null removes a key. Not logged in, it fails with NOT_FOUND. */
  update(data: JsonObject): Promise<Session>;
  /**
   * Gives the session a new token; the old one works for 30 s more. Does nothing if a request at the
   * same time did so, or without a session.
   */
  rotate(): Promise<void>;
  /** Ends the session, if there is one. */
  logout(): Promise<void>;
  /** Ends all sessions of the user; answers how many there were. */
  logoutEverywhere(): Promise<number>;
}

declare module "fastify" {
  interface FastifyRequest {
    session: RequestSession;
  }
}

const TOKEN = /^[\w-]{22,256}$/;

/**
 * A Fastify plugin that reads each request's session by the token in its cookie, and decorates the
 * request with it as `session`. Register `@fastify/cookie` before.
 */
export const latchkeyPlugin = Object.assign(
  async (fastify: FastifyInstance, options: LatchkeyPluginOptions): Promise<void> => {
    if (!fastify.hasRequestDecorator("cookies")) {
      throw new Error("register @fastify/cookie before the plugin of Latchkey");
    }
    // Filled in by the hook below, before anything can ask for it.
    fastify.decorateRequest("session");
    fastify.addHook("onRequest", async (request, reply) => {
      request.session = await openSession(request, reply, options);
    });
  },
  // What makes the decorator and the hook those of the whole app, not of this plugin alone.
  { [Symbol.for("skip-override")]: true, [Symbol.for("fastify.display-name")]: "latchkey" },
);

async function openSession(
  request: FastifyRequest,
  reply: FastifyReply,
  { latchkey: { sessions }, app, cookieName = "sid", cookie }: LatchkeyPluginOptions,
): Promise<RequestSession> {
  const attributes: CookieSerializeOptions = {
    path: "/",
    httpOnly: true,
    sameSite: "lax",
    secure: "auto",
    ...cookie,
  };
  const ip = request.ip.slice(0, 39);
  const agent = request.headers["user-agent"] ?? "";
  const userAgent = agent.replace(/\p{Cc}/gu, " ").slice(0, 512);

  let token = request.cookies[cookieName] ?? "";
  let current: Session | null = null;
  const take = (session: Session | undefined, newToken = token): Session => {
    if (!session) throw new Error("the server answered no session");
    if (newToken !== token) reply.setCookie(cookieName, newToken, attributes);
    token = newToken;
    current = session;
    return session;
  };
  const forget = () => {
    reply.clearCookie(cookieName, attributes);
    token = "";
    current = null;
  };
  const end = async (old: string) => {
    const target = { case: "token" as const, value: old };
    await sessions.deleteSession({ app, target, allowMissing: true });
  };

  if (TOKEN.test(token)) {
    try {
      const { session } = await sessions.getSession({ app, token, ip, userAgent });
      current = session ?? null;
    } catch (error) {
      if (!(error instanceof LatchkeyError) || error.code !== Code.NotFound) throw error;
    }
  }
  if (!current) token = "";

  return {
    get current() {
      return current;
    },
    async login(given, data = {}) {
      const old = token;
      const userId = toUserId(given);
      if (userId === undefined) throw new TypeError("a login needs the user's id");
      const begun = await sessions.createSession({ app, userId, ip, userAgent, data });
      if (old !== "") await end(old);
      return take(begun.session, begun.token);
    },
    async update(data) {
      if (token === "") throw notLoggedIn();
      const { session } = await sessions.updateSession({ app, token, data });
      return take(session);
    },
    async rotate() {
      if (token === "") return;
      try {
        const rotated = await sessions.rotateToken({ app, token });
        take(rotated.session, rotated.token);
      } catch (error) {
        if (!(error instanceof LatchkeyError) || error.code !== Code.Aborted) throw error;
      }
    },
    async logout() {
      const old = token;
      forget();
      if (old !== "") await end(old);
    },
    async logoutEverywhere() {
      if (!current) return 0;
      const { userId } = current;
      forget();
      const { deletedCount } = await sessions.deleteUserSessions({ app, userId });
      return Number(deletedCount);
    },
  };
}

/** As the server says it of a session that has ended. */
function notLoggedIn(): LatchkeyError {
  const details = [{ desc: ErrorInfoSchema, value: { reason: "NOT_FOUND", domain: "latchkey" } }];
  const message = "the request has no session";
  return new LatchkeyError(new ConnectError(message, Code.NotFound, undefined, details));
}
