import type { Session } from "../../../domain/sessions/session.js";
import { createRecencyOrder } from "../../../lib/recency.js";
import type { ListAnswer, ListRequest } from "../../../services/sessions/requests.js";
import type { Sessions } from "../../../services/sessions/sessions.js";
import { sessionAnswer } from "./answer.js";

/** Sessions of the first page, which is all of most lists; and of later ones, since each may be large. */
const FIRST_PAGE = 1_000;
const PAGE = 100;

/** Characters that a text should have about. */
const TEXT = 65_536;

const same = (session: Session): Session => session;

type Texts = AsyncGenerator<string>;

/** The sessions of a listing as JSON, joined by commas, the newest created first. `at`: see
 * `sessionAnswer`. */
export async function* textsByCreation(
  sessions: Sessions,
  request: ListRequest,
  at: number,
): Texts {
  for (let pageToken: string | null = ""; pageToken !== null; ) {
    const page: ListAnswer<Session> = await sessions.list(
      { ...request, pageSize: PAGE, pageToken },
      same,
    );
    yield textOf(page.sessions, at);
    pageToken = page.nextPageToken || null;
  }
}

/**
 * The same, the latest accessed first, as their last access was when they were listed. First come
 * empty texts, while that is found out.
 */
export async function* textsByRecency(sessions: Sessions, request: ListRequest, at: number): Texts {
  const order = createRecencyOrder();
  let page = await sessions.list({ ...request, pageSize: FIRST_PAGE }, same);
  if (page.nextPageToken === "") {
    const latestFirst = page.sessions.toSorted((a, b) => b.lastAccessedAt - a.lastAccessedAt);
    yield textOf(latestFirst, at);
    return;
  }
  order.add(page.sessions);
  for (let { nextPageToken: pageToken } = page; pageToken !== ""; pageToken = page.nextPageToken) {
    yield "";
    page = await sessions.list({ ...request, pageSize: PAGE, pageToken }, same);
    order.add(page.sessions);
  }
  const read = async (ids: readonly string[]) =>
    textOf(await sessions.withIds(request.app, ids), at);
  let size = 1;
  let ids: string[] = [];
  for (const id of order.ids()) {
    ids.push(id);
    if (ids.length < size) continue;
    const text = await read(ids);
    yield text;
    // As many as were of the right length before, for some are a thousand times as large as others.
    size = text.length > TEXT ? Math.ceil(size / 2) : Math.min(size * 2, PAGE);
    ids = [];
  }
  if (ids.length > 0) yield await read(ids);
}

/** The JSON of `{"sessions": […]}`, of such texts. */
export async function* sessionsText(texts: Texts): Texts {
  let before = '{"sessions":[';
  for await (const text of texts) {
    // Nothing to write is told too: whoever writes can see that nobody reads any more.
    yield text === "" ? "" : before + text;
    if (text !== "") before = ",";
  }
  yield before === "," ? "]}" : `${before}]}`;
}

function textOf(page: readonly Session[], at: number): string {
  return page.map((session) => JSON.stringify(sessionAnswer(session, at))).join(",");
}
