import { toJsonString } from "@bufbuild/protobuf";
import { type AppPolicy, AppPolicySchema } from "../latchkey/session/v1/app_policy_pb.js";
import type { Session } from "../latchkey/session/v1/session_pb.js";
import type { Latchkey } from "./clients.js";
import { Code, LatchkeyError } from "./error.js";
import { changesBetween, contentOf, type Texts, textsOf, toData } from "./express-data.js";
import { idleSecondsBy, idleSecondsOf } from "./express-lifetime.js";

/** What Latchkey has of a session, as far as it is known. */
export interface Known {
  readonly token: string;
  readonly userId: string;
  readonly texts: Texts;
  /** Milliseconds that the cookie gives it; undefined: as the app's policy says. */
  readonly maxAge: number | undefined;
}

export interface NewSession extends Known {
  readonly ip: string;
  readonly userAgent: string;
}

/** The calls that a store needs, for one app. */
export type SessionCalls = ReturnType<typeof createSessionCalls>;

const PAGE_SIZE = 1_000;

export function createSessionCalls(sessions: Latchkey["sessions"], app: string) {
  let allowing: Promise<void> | undefined;

  const policyOf = async () => (await sessions.getAppPolicy({ app })).policy;
  const knownOf = (token: string, session: Session): Known => {
    const content = contentOf(session);
    const cookie = content["cookie"] as { originalMaxAge?: unknown } | undefined;
    const age = cookie?.originalMaxAge;
    const maxAge = typeof age === "number" ? age : undefined;
    return { token, userId: session.userId, texts: textsOf(content), maxAge };
  };
  const find = async (token: string, peek: boolean): Promise<Session | undefined> => {
    const found = await sessions.getSession({ app, token, peek }).catch(unless(Code.NotFound));
    return found?.session;
  };

  /** Lets the app's sessions have the ids of express-session, or says how an admin does. */
  const allow = async (refusal: LatchkeyError): Promise<void> => {
    const before = await policyOf();
    if (before?.callerTokens) throw refusal;
    const policy = { ...before, callerTokens: true } as AppPolicy;
    const set = await sessions
      .setAppPolicy({ app, policy })
      .catch(unless(Code.PermissionDenied, Code.Unauthenticated));
    if (!set) throw new Error(howToAllow(app, before));
    process.emitWarning(
      `LatchkeyStore set caller_tokens in the policy of the app ${app}: its session ids are express-session's`,
    );
  };

  /** Makes the call, with another idle limit if the app's policy refuses that one. */
  const withIdle = async <T>(
    maxAge: number | undefined,
    call: (idleTtl: { idleTtl?: { seconds: bigint } }) => Promise<T>,
  ): Promise<T> => {
    if (maxAge === undefined) return call({});
    const wanted = idleSecondsOf(maxAge);
    try {
      return await call({ idleTtl: { seconds: BigInt(wanted) } });
    } catch (error) {
      if (!(error instanceof LatchkeyError) || !error.fields.includes("idle_ttl")) throw error;
      const seconds = BigInt(idleSecondsBy(await policyOf(), wanted));
      return call({ idleTtl: { seconds } });
    }
  };

  const extend = async (token: string, maxAge: number | undefined): Promise<void> => {
    const wanted = maxAge ?? idleSecondsBy(await policyOf(), undefined) * 1_000;
    await withIdle(wanted, (idle) => sessions.extendSession({ app, token, ...idle })).catch(
      unless(Code.NotFound),
    );
  };

  return {
    find,
    knownOf,

    /** What Latchkey has of the session, without touching it. */
    async look(token: string): Promise<Known | undefined> {
      const found = await find(token, true);
      return found && knownOf(token, found);
    },

    async create({ texts, maxAge, ...session }: NewSession): Promise<Known> {
      const request = { app, ...session, data: toData(texts) };
      const call = () =>
        withIdle(maxAge, (idle) => sessions.createSession({ ...request, ...idle }));
      try {
        await call();
      } catch (error) {
        if (!(error instanceof LatchkeyError) || error.code !== Code.PermissionDenied) throw error;
        allowing ??= allow(error).finally(() => {
          allowing = undefined;
        });
        await allowing;
        await call();
      }
      return { token: session.token, userId: session.userId, texts, maxAge };
    },

    /** Writes what changed; does nothing to a session that has ended. */
    async update(known: Known, texts: Texts, maxAge: number | undefined): Promise<Known> {
      const { token } = known;
      const data = changesBetween(known.texts, texts);
      if (Object.keys(data).length > 0) {
        await sessions.updateSession({ app, token, data }).catch(unless(Code.NotFound));
      }
      if (maxAge !== known.maxAge) await extend(token, maxAge);
      return { ...known, texts, maxAge };
    },

    /** The new token; undefined if the session has another one or ended. */
    async rotate(token: string): Promise<string | undefined> {
      const rotation = await sessions
        .rotateToken({ app, token })
        .catch(unless(Code.Aborted, Code.NotFound));
      return rotation?.token;
    },

    async end(token: string): Promise<void> {
      const target = { case: "token" as const, value: token };
      await sessions.deleteSession({ app, target, allowMissing: true });
    },

    async clear(): Promise<void> {
      await sessions.deleteAppSessions({ app });
    },

    async list(): Promise<Session[]> {
      const all: Session[] = [];
      let pageToken = "";
      do {
        const page = { app, pageSize: PAGE_SIZE, pageToken };
        const { sessions: some, nextPageToken } = await sessions.listSessions(page);
        all.push(...some);
        pageToken = nextPageToken;
      } while (pageToken !== "");
      return all;
    },
  };
}

function howToAllow(app: string, before: AppPolicy | undefined): string {
  const policy = {
    ...before,
    $typeName: AppPolicySchema.typeName,
    callerTokens: true,
  } as AppPolicy;
  const request = `{"app":"${app}","policy":${toJsonString(AppPolicySchema, policy)}}`;
  return [
    "express-session makes the ids of its sessions, which the app's policy in Latchkey does not allow.",
    `As an Admin, once: grpcurl -d '${request}' HOST:PORT latchkey.session.v1.SessionService/SetAppPolicy`,
  ].join("\n");
}

/** For `catch`: undefined instead of an error with one of the codes. */
const unless =
  (...codes: readonly Code[]) =>
  (error: unknown): undefined => {
    if (error instanceof LatchkeyError && codes.includes(error.code)) return undefined;
    throw error;
  };
