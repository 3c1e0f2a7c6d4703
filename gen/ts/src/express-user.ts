import { randomBytes } from "node:crypto";
import type { Session, SessionData, Store } from "express-session";
import type { Known } from "./express-calls.js";
import { requestOf } from "./express-request.js";

export const CANNOT_MOVE =
  "the session is another user's, or nobody's, and its cookie is sent: call req.session.regenerate() before you log a user in";

/** Gives the request a session with another id, while its cookie is not written yet. */
export function moveSession(store: Store, data: SessionData): Session {
  const req = requestOf(data);
  if (!req?.res || req.res.headersSent) throw new Error(CANNOT_MOVE);
  req.sessionID = randomBytes(24).toString("base64url");
  return store.createSession(req, JSON.parse(JSON.stringify(data)) as SessionData);
}

/** A session whose user is no longer named stays the user's. */
export const isOther = (userId: string | undefined, known: Known) =>
  userId !== undefined && userId !== known.userId;

/** Whom the session names: its `userId`, or the user that Passport serialised. */
export function userOfSession(data: SessionData): unknown {
  const { userId, passport } = data as { userId?: unknown; passport?: { user?: unknown } };
  if (userId !== undefined && userId !== null) return userId;
  const user = passport?.user;
  if (typeof user !== "object" || user === null) return user;
  if ("id" in user && typeof user.id !== "object") return user.id;
  return "_id" in user ? user._id : user;
}
