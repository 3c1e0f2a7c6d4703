import { type Account, mayTouch } from "../domain/account.js";
import { LatchkeyError } from "../domain/error.js";
import { checkApp } from "../domain/limits.js";
import type { Sessions } from "./sessions.js";

/** `app`: an Admin, or a User of the app that the call names. `admin`: an Admin. */
export type Permission = "app" | "admin";

/** Who may do what: the one table. The .proto files say the same of each RPC. */
export const PERMISSIONS = {
  create: "app",
  touch: "app",
  peek: "app",
  update: "app",
  extend: "app",
  delete: "app",
  deleteUser: "app",
  deleteApp: "admin",
  list: "app",
  countActiveUsers: "app",
  listCallers: "admin",
} as const satisfies Record<keyof Sessions | "listCallers", Permission>;

export type Operation = keyof typeof PERMISSIONS;

/**
 * Throws `forbidden` unless the account may do this, to this app if it is about
 * one. It says nothing of what exists: no session was looked for.
 */
export function authorize(account: Account, operation: Operation, app = ""): void {
  if (account.role === "Admin") return;
  if (PERMISSIONS[operation] === "admin") {
    throw new LatchkeyError("forbidden", "the call needs an account of role Admin");
  }
  if (mayTouch(account, app)) return;
  checkApp(app);
  throw new LatchkeyError(
    "forbidden",
    `the account may not touch the app ${app}: an administrator can grant it`,
  );
}

/** The use cases of `sessions`, done on behalf of `account`. */
export type SessionsOf = (account: Account) => Sessions;

/** Answers the use cases as each account may use them. */
export function createSessionsOf(sessions: Sessions): SessionsOf {
  // An account that changes is another object.
  const known = new WeakMap<Account, Sessions>();
  return (account) => {
    const made = known.get(account) ?? guard(sessions, account);
    known.set(account, made);
    return made;
  };
}

function guard(sessions: Sessions, account: Account): Sessions {
  const { create, touch, peek, update, extend, deleteUser, deleteApp, list } = sessions;
  const may = (operation: Operation, app: string) => authorize(account, operation, app);
  return {
    async create(request) {
      may("create", request.app);
      return create(request);
    },
    touch(app, token) {
      may("touch", app);
      return touch(app, token);
    },
    peek(app, token) {
      may("peek", app);
      return peek(app, token);
    },
    async update(request) {
      may("update", request.app);
      return update(request);
    },
    async extend(request) {
      may("extend", request.app);
      return extend(request);
    },
    async delete(app, name) {
      may("delete", app);
      return sessions.delete(app, name);
    },
    async deleteUser(app, userId, keep) {
      may("deleteUser", app);
      return deleteUser(app, userId, keep);
    },
    async deleteApp(app, cancelled) {
      may("deleteApp", app);
      return deleteApp(app, cancelled);
    },
    async list(request) {
      may("list", request.app);
      return list(request);
    },
    async countActiveUsers(app, activeWithin) {
      may("countActiveUsers", app);
      return sessions.countActiveUsers(app, activeWithin);
    },
  };
}
