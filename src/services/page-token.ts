import { invalid } from "../domain/error.js";

/** What a listing must remember from page to page. */
export interface PageState {
  readonly app: string;
  /** Empty in a listing of the whole app. */
  readonly userId: string;
  /** Seconds, as asked for; 0 if the listing is not bounded so. */
  readonly activeWithin: number;
  /** The instant (ms) fixed by the first page; 0 if the listing is not bounded so. */
  readonly activeSince: number;
  /** Where the next page begins. */
  readonly before: number;
}

/** The opaque form of `state`. It holds nothing that its caller does not know. */
export function encodePageToken(state: PageState): string {
  const { app, userId, activeWithin, activeSince, before } = state;
  const fields = [app, userId, activeWithin, activeSince, before];
  return Buffer.from(JSON.stringify(fields)).toString("base64url");
}

/**
 * The state in `token`. Throws `invalid` if it is no page token of the listing
 * asked for. A forged one can show nothing but other pages of that listing.
 */
export function decodePageToken(
  token: string,
  { app, userId, activeWithin }: Pick<PageState, "app" | "userId" | "activeWithin">,
): PageState {
  const state = parse(token);
  if (
    Array.isArray(state) &&
    state[0] === app &&
    state[1] === userId &&
    state[2] === activeWithin &&
    Number.isSafeInteger(state[3]) &&
    Number.isSafeInteger(state[4])
  ) {
    return { app, userId, activeWithin, activeSince: state[3], before: state[4] };
  }
  throw invalid(
    "page_token",
    "format",
    "page_token must be the next_page_token of the page before, with the other fields unchanged",
  );
}

function parse(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {
    return null;
  }
}
