import type { Account, Role } from "../../domain/accounts/account.js";
import type { CallerSession } from "../../services/access/connections.js";

/** A caller's session as the SESSION command shows it; reference: the command's documentation. */
export interface SessionObject {
  /** This and the next: RFC 3339 in UTC, six digits of a second. */
  readonly created_at: string;
  readonly last_accessed_at: string;
  readonly session_id: string;
  readonly status: number;
  readonly user: {
    /** Always seven asterisks; nothing of a real password reaches it. */
    readonly Password: string;
    readonly Role: Role;
    readonly Username: string;
  };
}

export const SESSION_STATUS = { pending: 0, active: 1, expired: 2 } as const;

/** What is shown of a caller's session. */
export interface ShownSession extends Pick<CallerSession, "id" | "createdAt" | "lastAccessedAt"> {
  readonly account: Pick<Account, "name" | "role">;
}

/** The session as the SESSION command and `GET /session` answer it, keys in the documented order. */
export function toSessionObject(session: ShownSession): SessionObject {
  return {
    created_at: toRfc3339(session.createdAt),
    last_accessed_at: toRfc3339(session.lastAccessedAt),
    session_id: session.id,
    // A session that can be shown is active: it ends with its credential or its connection.
    status: SESSION_STATUS.active,
    user: { Password: "*******", Role: session.account.role, Username: session.account.name },
  };
}

/** RFC 3339 in UTC with microseconds, of milliseconds since 1970. */
export function toRfc3339(instant: number): string {
  return new Date(instant).toISOString().replace("Z", "000Z");
}
