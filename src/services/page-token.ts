import { invalid } from "../domain/error.js";

/** What a listing must remember from page to page. */
export interface PageState {
  readonly app: string;
  /** Empty in a listing of the whole app. */
  readonly userId: string;
  /** The instant (ms) fixed by the first page; 0 if the listing is not bounded so. */
  readonly activeSince: number;
  /** Where the next page begins. */
  readonly before: number;
}

/** The opaque form of `state`. It holds nothing that its caller does not know. */
export function encodePageToken({ app, userId, activeSince, before }: PageState): string {
  return Buffer.from(JSON.stringify([app, userId, activeSince, before])).toString("base64url");
}

/**
 * The state in `token`. Throws `invalid` if it is no page token of this app and
 * user. A forged one can show nothing but other pages of the same listing.
 */
export function decodePageToken(token: string, app: string, userId: string): PageState {
  const state = parse(token);
  if (
    Array.isArray(state) &&
    state[0] === app &&
    state[1] === userId &&
    Number.isSafeInteger(state[2]) &&
    Number.isSafeInteger(state[3])
  ) {
    return { app, userId, activeSince: state[2], before: state[3] };
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
