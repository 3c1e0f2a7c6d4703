import type { Rke } from "../rke/rke.js";
import type { Sessions } from "../sessions/sessions.js";

/**
 * `app`: an Admin, or a User of the app that the call names. `rke`: an Admin, or a User
 * with the grant rke. `admin`: an Admin.
 */
export type Permission = "app" | "rke" | "admin";

/** A line for the log: its fields and its text. */
type AuditLine = readonly [fields: Readonly<Record<string, unknown>>, text: string];

/** What is asked of the caller of a use case, and what is noted of a call that succeeded. */
export interface UseCase<Arguments extends readonly unknown[] = never, Answer = never> {
  readonly permission: Permission;
  /** Returns the app that the call is about. */
  readonly appOf: (...call: Arguments) => string;
  readonly audit?: (answer: Answer, ...call: Arguments) => AuditLine;
  /** A refusal is thrown at once, as every error of the use case; else the promise rejects. */
  readonly throws?: true;
  /** The third argument says for whom the work is done, so that callers take turns. */
  readonly takesAsker?: true;
}

type UseCases<Service extends Record<keyof Service, (...call: never[]) => unknown>> = {
  readonly [name in keyof Service]: UseCase<
    Parameters<Service[name]>,
    Awaited<ReturnType<Service[name]>>
  >;
};

const byRequest = ({ app }: { readonly app: string }) => app;
const byName = (app: string) => app;

/** Who may do what with sessions: the one table. The .proto files say the same of each RPC. */
export const SESSION_USE_CASES: UseCases<Sessions> = {
  create: { permission: "app", appOf: byRequest },
  touch: { permission: "app", appOf: byName, throws: true },
  peek: { permission: "app", appOf: byName, throws: true },
  batch: { permission: "app", appOf: byRequest, takesAsker: true },
  update: { permission: "app", appOf: byRequest },
  extend: { permission: "app", appOf: byRequest },
  rotate: { permission: "app", appOf: byRequest },
  delete: { permission: "app", appOf: byName },
  deleteUser: {
    permission: "app",
    appOf: byName,
    audit: (count, app) => [{ app, all: "of a user", count }, "sessions ended"],
  },
  deleteApp: {
    permission: "admin",
    appOf: byName,
    audit: (count, app) => [{ app, all: "of the app", count }, "sessions ended"],
  },
  list: { permission: "app", appOf: byRequest, takesAsker: true },
  withIds: { permission: "app", appOf: byName, takesAsker: true },
  countActiveUsers: { permission: "app", appOf: byName, takesAsker: true },
  getPolicy: { permission: "app", appOf: byName, throws: true },
  setPolicy: {
    permission: "admin",
    appOf: byName,
    audit: (policy, app) => [{ app, policy }, "app policy set"],
  },
};

/** The RKE use cases; those that throw answer at once. */
export const RKE_USE_CASES: {
  readonly [name in keyof Rke]: { readonly permission: Permission; readonly throws?: true };
} = {
  discover: { permission: "rke" },
  create: { permission: "rke" },
  get: { permission: "rke", throws: true },
  list: { permission: "rke", throws: true },
  delete: { permission: "rke", throws: true },
  encrypt: { permission: "rke", throws: true },
  decrypt: { permission: "rke", throws: true },
  encryptStream: { permission: "rke", throws: true },
  decryptStream: { permission: "rke", throws: true },
};

/** Use cases that have no wrapper: who runs them asks by `authorize`. */
export const OTHER_USE_CASES = {
  watch: "app",
  listCallers: "admin",
} as const satisfies Record<string, Permission>;
