import type { Logger } from "pino";
import { mayTouch } from "../../domain/accounts/account.js";
import { LatchkeyError } from "../../domain/error.js";
import { checkApp } from "../../domain/limits.js";
import type { Rke } from "../rke/rke.js";
import type { ByteStream } from "../rke/streams.js";
import type { Sessions } from "../sessions/sessions.js";
import type { AnswerCall, Watch, WatchRequest } from "../watches/watch-request.js";
import type { CallerSession } from "./connections.js";
import {
  OTHER_USE_CASES,
  type Permission,
  RKE_USE_CASES,
  SESSION_USE_CASES,
  type UseCase,
} from "./permissions.js";

const REFUSALS: Readonly<Record<Permission, (app: string | undefined) => string>> = {
  app: (app) => `the account may not touch the app ${app}: an administrator can grant it`,
  rke: () => "the account may not use RKE: an administrator can make it one that may",
  admin: () => "the call needs an account of role Admin",
};

export interface AuthorizationOptions {
  readonly sessions: Sessions;
  readonly rke: Rke;
  readonly watch: Watch;
  /** Throws `unauthenticated` if the caller's credentials have ended. */
  readonly checkStanding: (caller: CallerSession) => void;
  /** Aborted once it would, where that is known at once. */
  readonly endOf?: (caller: CallerSession) => AbortSignal | undefined;
  /** Gets a line for every call that is refused, for every one that ended many sessions or set a
   * policy, and for every theft that one was the proof of. */
  readonly logger: Pick<Logger, "info" | "warn">;
}

export type Authorization = ReturnType<typeof createAuthorization>;

/** Decides what callers may do, by the tables of permissions.ts. */
export function createAuthorization(options: AuthorizationOptions) {
  const { sessions, rke, watch, checkStanding, endOf, logger } = options;

  /**
   * Throws `forbidden` unless the caller has the permission that the operation asks for, for this
   * app if it is about one. It says nothing of what exists: no session was looked for.
   */
  const demand = (
    permission: Permission,
    caller: CallerSession,
    operation: string,
    app?: string,
  ): void => {
    const { account, address } = caller;
    if (account.role === "Admin") return;
    if (permission === "app" && app !== undefined && mayTouch(account, app)) return;
    if (permission === "rke" && account.rke) return;
    if (app !== undefined) checkApp(app);
    logger.warn({ account: account.name, address, operation, app }, "call refused");
    throw new LatchkeyError("forbidden", REFUSALS[permission](app));
  };

  /**
   * Returns the use cases of sessions behind their rows of the table: each checks its caller's
   * permission, if there is a caller, and logs what its row asks for and each theft.
   */
  const sessionsFor = (caller: CallerSession | null): Sessions => {
    // By the account, so that no number of connections gets more.
    const asker = { who: caller?.account.name ?? "" };
    const who = { account: caller?.account.name, address: caller?.address };
    /** An app that the caller was granted; its account is the caller's for good. */
    let granted: string | undefined;

    const note = (error: unknown) => {
      if (!(error instanceof LatchkeyError) || !error.theft) return;
      logger.warn({ ...who, ...error.theft }, "session ended: its token was stolen");
    };
    const fail = (error: unknown): never => {
      note(error);
      throw error;
    };
    const wrap = (name: keyof Sessions): Method => {
      const { permission, appOf, audit, throws, takesAsker } = SESSION_USE_CASES[
        name
      ] as AnyUseCase;
      const method = sessions[name] as Method;
      const check = (app: string) => {
        if (!caller || (app === granted && permission === "app")) return;
        demand(permission, caller, name, app);
        if (permission === "app") granted = app;
      };
      return behind(
        throws,
        (...call) => check(appOf(...call)),
        (...call) => {
          if (takesAsker) call[2] = { ...(call[2] as object | undefined), ...asker };
          const answer = method(...call);
          // A theft is known when the end of its session is on disk, so it is never thrown at once.
          if (!(answer instanceof Promise)) return answer;
          if (!audit) return answer.catch(fail);
          return answer.then((value) => {
            const [fields, text] = audit(value, ...call);
            logger.info({ ...who, ...fields }, text);
            return value;
          }, fail);
        },
      );
    };
    const wrapped = wrapAll<Sessions>(SESSION_USE_CASES, wrap);
    return {
      ...wrapped,
      batch: (request, use, more) =>
        wrapped.batch(
          request,
          (result) => {
            note(result);
            return use(result);
          },
          more,
        ),
    };
  };

  /** Returns the use cases of RKE, each behind its row of the table. */
  const rkeFor = (caller: CallerSession): Rke => {
    const checkCaller = () => checkStanding(caller);
    const wrapped = wrapAll<Rke>(RKE_USE_CASES, (name) => {
      const { permission, throws } = RKE_USE_CASES[name];
      const check = () => demand(permission, caller, `rke.${name}`);
      return behind(throws, check, rke[name] as Method);
    });
    return {
      ...wrapped,
      encryptStream: (start) => whileStanding(wrapped.encryptStream(start), checkCaller),
      decryptStream: (start) => whileStanding(wrapped.decryptStream(start), checkCaller),
    };
  };

  const forNobody = sessionsFor(null);
  // A caller's session lives as long as its connection.
  const known = new WeakMap<CallerSession, Sessions>();
  const knownRke = new WeakMap<CallerSession, Rke>();
  const authorize = (
    caller: CallerSession,
    operation: keyof typeof OTHER_USE_CASES,
    app?: string,
  ) => demand(OTHER_USE_CASES[operation], caller, operation, app);
  return {
    /** As `demand`, of a use case that has no wrapper. */
    authorize,

    /** The use cases as the caller may use them; null where authentication is off. */
    sessionsOf(caller: CallerSession | null): Sessions {
      if (!caller) return forNobody;
      const made = known.get(caller);
      if (made) return made;
      const allowed = sessionsFor(caller);
      known.set(caller, allowed);
      return allowed;
    },

    /** A watch as the caller may have it, for as long as its credentials hold. */
    watchOf(caller: CallerSession | null, request: WatchRequest, call: AnswerCall) {
      const { signal, address, room } = call;
      if (!caller)
        return watch(request, { signal, room, checkCaller() {}, owner: address, who: "" });
      authorize(caller, "watch", request.app);
      const end = endOf?.(caller);
      return watch(request, {
        signal: end ? AbortSignal.any([signal, end]) : signal,
        room,
        checkCaller: () => checkStanding(caller),
        owner: caller.account.id,
        who: caller.account.name,
      });
    },

    /** As `sessionsOf`, the use cases of RKE. */
    rkeOf(caller: CallerSession | null): Rke {
      if (!caller) return rke;
      const made = knownRke.get(caller);
      if (made) return made;
      const allowed = rkeFor(caller);
      knownRke.set(caller, allowed);
      return allowed;
    },
  };
}

/** A use case, whatever it takes and answers. */
type Method = (...call: unknown[]) => unknown;

/** A row of the table, whatever its use case takes and answers. */
type AnyUseCase = UseCase<unknown[], unknown>;

/** Returns `method` behind a check, whose error is thrown or rejects as the errors of the method do. */
function behind(
  throws: true | undefined,
  check: (...call: unknown[]) => void,
  method: Method,
): Method {
  return (...call) => {
    try {
      check(...call);
    } catch (error) {
      if (throws) throw error;
      return Promise.reject(error);
    }
    return method(...call);
  };
}

/** Returns a service of the methods that `wrap` makes, one for each row of a table. */
function wrapAll<Service extends object>(
  rows: { readonly [name in keyof Service]: unknown },
  wrap: (name: keyof Service) => Method,
): Service {
  const names = Object.keys(rows) as (keyof Service)[]; // The table has a row for each method.
  // Each wrapper passes on what it is called with, and answers what its method does.
  return Object.fromEntries(names.map((name) => [name, wrap(name)])) as Service;
}

/** A stream that ends with the credentials of its caller, between two chunks. */
function whileStanding({ push, end }: ByteStream, checkCaller: () => void): ByteStream {
  return {
    push(chunk) {
      checkCaller();
      return push(chunk);
    },
    end() {
      checkCaller();
      return end();
    },
  };
}
