import { createRecencyOrder } from "../../../domain/recency.js";
import type { Session } from "../../../domain/session.js";
import type { ListRequest } from "../../../services/session-requests.js";
import type { Sessions } from "../../../services/sessions.js";
import { sessionAnswer } from "./answer.js";

/** Sessions that a page has at most: few, since each may be large. */
const PAGE = 100;

/** Characters that a text should have about. */
const TEXT = 65_536;

type Pages = AsyncGenerator<readonly Session[]>;

/** The sessions of a listing, the newest created first. */
export async function* pagesOf(sessions: Sessions, request: ListRequest): Pages {
  let pageToken = "";
  do {
    const page = await sessions.list({ ...request, pageSize: PAGE, pageToken });
    yield page.sessions;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/**
 * The sessions of a listing, the latest accessed first, as their last access was when they were
 * listed. First come empty pages, while that is found out.
 */
export async function* pagesByRecency(sessions: Sessions, request: ListRequest): Pages {
  const order = createRecencyOrder();
  for await (const page of pagesOf(sessions, request)) {
    order.add(page);
    yield [];
  }
  let size = 1;
  let ids: string[] = [];
  for (const id of order.ids()) {
    ids.push(id);
    if (ids.length < size) continue;
    const page = await sessions.withIds(request.app, ids);
    yield page;
    // As many as were of the right length before, for some are a thousand times as large as others.
    size = textOf(page, 0).length > TEXT ? Math.ceil(size / 2) : Math.min(size * 2, PAGE);
    ids = [];
  }
  if (ids.length > 0) yield await sessions.withIds(request.app, ids);
}

/** The JSON of `{"sessions": […]}` in parts, none of which is much longer than a page. `at`: see
 * `sessionAnswer`. */
export async function* sessionTexts(pages: Pages, at: number): AsyncGenerator<string> {
  let before = '{"sessions":[';
  for await (const page of pages) {
    const text = textOf(page, at);
    if (text === "") {
      // Nothing to write, but whoever writes can see that nobody reads any more.
      yield "";
      continue;
    }
    yield before + text;
    before = ",";
  }
  yield before === "," ? "]}" : `${before}]}`;
}

function textOf(page: readonly Session[], at: number): string {
  return page.map((session) => JSON.stringify(sessionAnswer(session, at))).join(",");
}
