import { invalid, LatchkeyError } from "../../domain/error.js";
import { checkPageSize } from "../../domain/limits.js";
import type { Authorization } from "./authorization.js";
import type { CallerSession, Connections } from "./connections.js";

export interface CallersPage {
  readonly callers: readonly CallerSession[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

export type Callers = ReturnType<typeof createCallers>;

export interface CallersOptions {
  /** Null where authentication is off. */
  readonly connections: Pick<Connections, "list"> | null;
  readonly authorize: Authorization["authorize"];
}

/** What a caller may ask about callers. */
export function createCallers({ connections, authorize }: CallersOptions) {
  const authenticated = (caller: CallerSession | null): CallerSession => {
    if (caller) return caller;
    throw new LatchkeyError("unauthenticated", "unauthorized or session not found");
  };

  return {
    /** The caller's own session. Throws `unauthenticated` if it has none. */
    current: authenticated,

    /** A page of all callers, the oldest session first. Throws `forbidden` for a User. */
    list(caller: CallerSession | null, pageSize: number, pageToken: string): CallersPage {
      authorize(authenticated(caller), "listCallers");
      const limit = checkPageSize(pageSize);
      const after = readPageToken(pageToken);
      const rest = (connections?.list() ?? [])
        .filter((one) => numberOf(one) > after)
        .sort((a, b) => numberOf(a) - numberOf(b));
      const last = rest.length > limit ? rest[limit - 1] : undefined;
      return { callers: rest.slice(0, limit), nextPageToken: last ? String(numberOf(last)) : "" };
    },
  };
}

/** The number that a session's id begins with; later sessions have higher ones. */
function numberOf({ id }: CallerSession): number {
  return Number.parseInt(id, 10);
}

function readPageToken(token: string): number {
  if (token === "") return 0;
  if (/^[1-9]\d{0,14}$/.test(token)) return Number(token);
  throw invalid(
    "page_token",
    "format",
    "page_token must be the next_page_token of the page before",
  );
}
