import type { Logger } from "pino";
import { mayTouch } from "../../domain/accounts/account.js";
import { LatchkeyError } from "../../domain/error.js";
import { checkApp } from "../../domain/limits.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { Rke } from "../rke/rke.js";
import type { ByteStream } from "../rke/streams.js";
import type { Sessions } from "../sessions/sessions.js";
import type { AnswerCall, Watch, WatchRequest } from "../watches/watch-request.js";
import type { CallerSession } from "./connections.js";

/**
 * `app`: an Admin, or a User of the app that the call names. `rke`: an Admin, or a User
 * with the grant rke. `admin`: an Admin.
 */
export type Permission = "app" | "rke" | "admin";

/** Who may do what: the one table. The .proto files say the same of each RPC. */
export const PERMISSIONS = {
  create: "app",
  touch: "app",
  peek: "app",
  batch: "app",
  update: "app",
  extend: "app",
  rotate: "app",
  delete: "app",
  deleteUser: "app",
  deleteApp: "admin",
  list: "app",
  withIds: "app",
  countActiveUsers: "app",
  getPolicy: "app",
  setPolicy: "admin",
  watch: "app",
  listCallers: "admin",
  "rke.discover": "rke",
  "rke.create": "rke",
  "rke.get": "rke",
  "rke.list": "rke",
  "rke.delete": "rke",
  "rke.encrypt": "rke",
  "rke.decrypt": "rke",
  "rke.encryptStream": "rke",
  "rke.decryptStream": "rke",
} as const satisfies Record<
  keyof Sessions | "watch" | "listCallers" | `rke.${keyof Rke}`,
  Permission
>;

export type Operation = keyof typeof PERMISSIONS;

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

/** Decides what callers may do, by the table above. */
export function createAuthorization(options: AuthorizationOptions) {
  const { sessions, rke, watch, checkStanding, endOf, logger } = options;

  /**
   * Throws `forbidden` unless the caller may do this, to this app if it is about
   * one. It says nothing of what exists: no session was looked for.
   */
  const authorize = (caller: CallerSession, operation: Operation, app?: string): void => {
    const { account, address } = caller;
    if (account.role === "Admin") return;
    const permission = PERMISSIONS[operation];
    if (permission === "app" && app !== undefined && mayTouch(account, app)) return;
    if (permission === "rke" && account.rke) return;
    if (app !== undefined) checkApp(app);
    logger.warn({ account: account.name, address, operation, app }, "call refused");
    throw new LatchkeyError("forbidden", REFUSALS[permission](app));
  };

  /** As `sessions`, with a line for each call that ends many or sets a policy, and each theft. */
  const logged = (caller: CallerSession | null): Sessions => {
    // By the account, so that no number of connections gets more.
    const asker = { who: caller?.account.name ?? "" };
    const who = { account: caller?.account.name, address: caller?.address };
    const ended = (app: string, all: "of a user" | "of the app", count: number) => {
      logger.info({ ...who, app, all, count }, "sessions ended");
      return count;
    };
    const note = (error: unknown) => {
      if (!(error instanceof LatchkeyError) || !error.theft) return;
      logger.warn({ ...who, ...error.theft }, "session ended: its token was stolen");
    };
    const fail = (error: unknown): never => {
      note(error);
      throw error;
    };
    // A theft is known when the end of its session is on disk, so it is never thrown at once.
    const noting = <T>(answer: MaybePromise<T>): MaybePromise<T> =>
      answer instanceof Promise ? answer.catch(fail) : answer;
    return {
      ...sessions,
      touch: (app, token, seen) => noting(sessions.touch(app, token, seen)),
      peek: (app, token, seen) => noting(sessions.peek(app, token, seen)),
      batch: (request, use, more) =>
        sessions.batch(
          request,
          (result) => {
            note(result);
            return use(result);
          },
          { ...more, ...asker },
        ),
      update: (request) => sessions.update(request).catch(fail),
      extend: (request) => sessions.extend(request).catch(fail),
      rotate: (request) => sessions.rotate(request).catch(fail),
      delete: (app, name, options) => sessions.delete(app, name, options).catch(fail),
      deleteUser: async (app, userId, keep, options) =>
        ended(app, "of a user", await sessions.deleteUser(app, userId, keep, options).catch(fail)),
      deleteApp: async (app, cancelled, requestId) =>
        ended(app, "of the app", await sessions.deleteApp(app, cancelled, requestId)),
      list: (request, use, more) => sessions.list(request, use, { ...more, ...asker }),
      withIds: (app, ids, more) => sessions.withIds(app, ids, { ...more, ...asker }),
      countActiveUsers: (app, activeWithin, more) =>
        sessions.countActiveUsers(app, activeWithin, { ...more, ...asker }),
      setPolicy: async (app, request) => {
        const policy = await sessions.setPolicy(app, request);
        logger.info({ ...who, app, policy }, "app policy set");
        return policy;
      },
    };
  };

  /** As `authorize`, with what was decided last at hand: its account is a caller's for good. */
  const permissionsOf = (caller: CallerSession) => {
    let granted: string | undefined;
    return (operation: Operation, app: string): void => {
      if (app === granted && PERMISSIONS[operation] === "app") return;
      authorize(caller, operation, app);
      if (PERMISSIONS[operation] === "app") granted = app;
    };
  };

  const forNobody = logged(null);
  // A caller's session lives as long as its connection.
  const known = new WeakMap<CallerSession, Sessions>();
  const knownRke = new WeakMap<CallerSession, Rke>();
  return {
    authorize,

    /** The use cases as the caller may use them; null where authentication is off. */
    sessionsOf(caller: CallerSession | null): Sessions {
      if (!caller) return forNobody;
      const made = known.get(caller);
      if (made) return made;
      const guarded = guard(logged(caller), permissionsOf(caller));
      known.set(caller, guarded);
      return guarded;
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
      const guarded = guardRke(rke, authorize.bind(null, caller), () => checkStanding(caller));
      knownRke.set(caller, guarded);
      return guarded;
    },
  };
}

/** `sessions`, each method behind `may`, which throws if the caller may not. */
function guard(sessions: Sessions, may: (operation: Operation, app: string) => void): Sessions {
  const { create, touch, peek, batch, update, extend, rotate, deleteUser, deleteApp, list } =
    sessions;
  return {
    async create(request) {
      may("create", request.app);
      return create(request);
    },
    touch(app, token, seen) {
      may("touch", app);
      return touch(app, token, seen);
    },
    peek(app, token, seen) {
      may("peek", app);
      return peek(app, token, seen);
    },
    async batch(request, use, asker) {
      may("batch", request.app);
      return batch(request, use, asker);
    },
    async update(request) {
      may("update", request.app);
      return update(request);
    },
    async extend(request) {
      may("extend", request.app);
      return extend(request);
    },
    async rotate(request) {
      may("rotate", request.app);
      return rotate(request);
    },
    async delete(app, name, options) {
      may("delete", app);
      return sessions.delete(app, name, options);
    },
    async deleteUser(app, userId, keep, options) {
      may("deleteUser", app);
      return deleteUser(app, userId, keep, options);
    },
    async deleteApp(app, cancelled, requestId) {
      may("deleteApp", app);
      return deleteApp(app, cancelled, requestId);
    },
    async list(request, use, asker) {
      may("list", request.app);
      return list(request, use, asker);
    },
    async withIds(app, ids, asker) {
      may("withIds", app);
      return sessions.withIds(app, ids, asker);
    },
    async countActiveUsers(app, activeWithin, asker) {
      may("countActiveUsers", app);
      return sessions.countActiveUsers(app, activeWithin, asker);
    },
    getPolicy(app) {
      may("getPolicy", app);
      return sessions.getPolicy(app);
    },
    async setPolicy(app, request) {
      may("setPolicy", app);
      return sessions.setPolicy(app, request);
    },
  };
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

/** `rke`, each method behind `may`, which throws if the caller may not. */
function guardRke(rke: Rke, may: (operation: Operation) => void, checkCaller: () => void): Rke {
  return {
    async discover(domain) {
      may("rke.discover");
      return rke.discover(domain);
    },
    async create(request) {
      may("rke.create");
      return rke.create(request);
    },
    get(sessionId) {
      may("rke.get");
      return rke.get(sessionId);
    },
    list() {
      may("rke.list");
      return rke.list();
    },
    delete(sessionId, forgetKey) {
      may("rke.delete");
      rke.delete(sessionId, forgetKey);
    },
    encrypt(request) {
      may("rke.encrypt");
      return rke.encrypt(request);
    },
    decrypt(request) {
      may("rke.decrypt");
      return rke.decrypt(request);
    },
    encryptStream(start) {
      may("rke.encryptStream");
      return whileStanding(rke.encryptStream(start), checkCaller);
    },
    decryptStream(start) {
      may("rke.decryptStream");
      return whileStanding(rke.decryptStream(start), checkCaller);
    },
  };
}
