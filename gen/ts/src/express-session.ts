import { randomUUID } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Request } from "express";
import session, { type SessionData } from "express-session";
import type { Session } from "../latchkey/session/v1/session_pb.js";
import type { Latchkey } from "./clients.js";
import { Code, LatchkeyError } from "./error.js";
import { changesBetween, hasContent, idleTtlOf, toData, toSessionData } from "./express-data.js";
import { holdResponse } from "./express-response.js";

export interface LatchkeyStoreOptions {
  readonly latchkey: Latchkey;
  /** The app that the sessions belong to. */
  readonly app: string;
  /** Whose session it is; undefined before the login. By default its `userId`. */
  readonly userOf?: (session: SessionData) => string | undefined;
}

/** What Latchkey has of a session, as far as it is known. */
interface Known {
  readonly userId: string;
  readonly data: JsonObject;
}

const TOKEN = /^[A-Za-z0-9]{64}$/;
const PAGE_SIZE = 1_000;

/**
 * A store for express-session whose session ids are Latchkey's tokens. Give its `genid` to
 * express-session, too, and `saveUninitialized: false`.
 *
 * express-session makes up the id of a new session at once and puts it into the cookie before the
 * session is saved, and Latchkey makes every token itself. So `genid` makes a placeholder, which
 * means something during its request only, and holds the response back until the session is created;
 * the cookie then has the token. A session with nothing in it is not created.
 *
 * A session belongs to one user for all its life. To save it for another one fails: whoever logs a
 * user in calls `req.session.regenerate` first, and so a token that somebody knew before the login
 * is worth nothing after it.
 *
 * Saving writes the keys that changed, so that parallel requests keep each other's changes. A
 * session that has ended stays so, whatever is saved.
 *
 * A store is not told which request reads, so a policy that binds sessions to an address or a user
 * agent has no effect here.
 */
export class LatchkeyStore extends session.Store {
  readonly #sessions: Latchkey["sessions"];
  readonly #app: string;
  readonly #userOf: (session: SessionData) => string | undefined;
  /** The new sessions of the requests under way, by placeholder; with a token once it is asked for. */
  readonly #created = new Map<string, { token?: Promise<string>; readonly req: Request }>();
  readonly #known = new WeakMap<object, Known>();

  constructor({ latchkey, app, userOf = userIdOf }: LatchkeyStoreOptions) {
    super();
    this.#sessions = latchkey.sessions;
    this.#app = app;
    this.#userOf = userOf;
  }

  /** The `genid` for express-session. */
  readonly genid = (req: Request): string => {
    const { res } = req;
    if (!res) throw new Error("LatchkeyStore needs Express, which gives each request its `res`");
    const placeholder = `new-${randomUUID()}`;
    this.#created.set(placeholder, { req });
    res.once("close", () => this.#created.delete(placeholder));
    holdResponse(req, res, () => this.#created.has(req.sessionID) && hasContent(req.session));
    return placeholder;
  };

  /**
   * Gives the request's session a new token, which the response's cookie then has; the old one works
   * for 30 s more. `req.session` is another object afterwards. Resolves with false if another request
   * did so, or the session has ended.
   */
  async rotate(req: Request): Promise<boolean> {
    const token = await this.#tokenOf(req.sessionID);
    if (token === undefined) return false;
    const rotation = await this.#sessions
      .rotateToken({ app: this.#app, token })
      .catch(unless(Code.Aborted, Code.NotFound));
    if (!rotation) return false;
    const known = this.#known.get(req.session);
    const data = JSON.parse(JSON.stringify(req.session)) as SessionData;
    if (known) this.#known.set(data, known);
    req.sessionID = rotation.token;
    this.createSession(req, data);
    return true;
  }

  override createSession(req: Request, data: SessionData): session.Session & SessionData {
    const created = super.createSession(req, data);
    const known = this.#known.get(data);
    if (known) this.#known.set(created, known);
    return created;
  }

  override get(sid: string, callback: (error: unknown, session?: SessionData) => void): void {
    answer<SessionData | undefined>(this.#read(sid), callback);
  }

  override set(sid: string, data: SessionData, callback?: (error?: unknown) => void): void {
    answer(this.#save(sid, data), callback);
  }

  override touch(sid: string, data: SessionData, callback?: (error?: unknown) => void): void {
    answer(this.#touch(sid, data), callback);
  }

  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    answer(this.#end(sid), callback);
  }

  override all(callback: (error: unknown, sessions?: SessionData[]) => void): void {
    answer(
      this.#list().then((all) => all.map(toSessionData)),
      callback,
    );
  }

  override length(callback: (error: unknown, length?: number) => void): void {
    answer(
      this.#list().then(({ length }) => length),
      callback,
    );
  }

  override clear(callback?: (error?: unknown) => void): void {
    answer(this.#sessions.deleteAppSessions({ app: this.#app }).then(nothing), callback);
  }

  /** The token that the id is or stands for; undefined if there is no such session yet. */
  async #tokenOf(sid: string): Promise<string | undefined> {
    return TOKEN.test(sid) ? sid : this.#created.get(sid)?.token;
  }

  async #read(sid: string): Promise<SessionData | undefined> {
    const token = await this.#tokenOf(sid);
    if (token === undefined) return undefined;
    // Counts as a touch, so that most requests need no other call.
    const found = await this.#find(token, false);
    if (!found) return undefined;
    const data = toSessionData(found);
    this.#known.set(data, knownOf(found));
    return data;
  }

  async #save(sid: string, data: SessionData): Promise<void> {
    const created = this.#created.get(sid);
    if (created && !created.token) return this.#create(created, data);
    const token = await this.#tokenOf(sid);
    // A placeholder whose request is over: nobody would get the token.
    if (token === undefined) return refuseUnlessPlaceholder(sid);
    const known = this.#known.get(data) ?? (await this.#look(token));
    if (!known) return;
    this.#refuseOthers(data, known);
    await this.#write(token, data, known, toData(data));
  }

  async #create(entry: { token?: Promise<string>; readonly req: Request }, data: SessionData) {
    const { req } = entry;
    const userId = this.#userOf(data) ?? `anonymous:${randomUUID()}`;
    const content = toData(data);
    const request = {
      ...{ app: this.#app, userId, data: content },
      ip: (req.ip ?? "").slice(0, 39),
      userAgent: (req.headers["user-agent"] ?? "").replace(/\p{Cc}/gu, " ").slice(0, 512),
      ...idleTtlOf(data),
    };
    const placeholder = req.sessionID;
    entry.token = this.#sessions.createSession(request).then(({ token }) => token);
    try {
      const token = await entry.token;
      this.#known.set(data, { userId, data: content });
      // Read when the headers are written, for the cookie.
      if (req.sessionID === placeholder) req.sessionID = token;
    } catch (error) {
      delete entry.token;
      throw error;
    }
  }

  async #write(token: string, data: SessionData, known: Known, content: JsonObject): Promise<void> {
    const changes = changesBetween(known.data, content);
    if (Object.keys(changes).length === 0) return;
    const app = this.#app;
    await this.#sessions.updateSession({ app, token, data: changes }).catch(unless(Code.NotFound));
    this.#known.set(data, { ...known, data: content });
    const { idleTtl } = idleTtlOf(data);
    if ("cookie" in changes && idleTtl) {
      await this.#sessions.extendSession({ app, token, idleTtl }).catch(unless(Code.NotFound));
    }
  }

  async #touch(sid: string, data: SessionData): Promise<void> {
    const token = await this.#tokenOf(sid);
    if (token === undefined) return;
    const known = this.#known.get(data);
    // It was touched when it was read. The cookie may have changed, and is not what is saved.
    const { cookie = {} } = toData(data);
    if (known) await this.#write(token, data, known, { ...known.data, cookie });
    else await this.#find(token, false);
  }

  async #end(sid: string): Promise<void> {
    const token = await this.#tokenOf(sid);
    if (token === undefined) return;
    const target = { case: "token" as const, value: token };
    await this.#sessions.deleteSession({ app: this.#app, target, allowMissing: true });
    delete this.#created.get(sid)?.token;
  }

  async #find(token: string, peek: boolean): Promise<Session | undefined> {
    const found = await this.#sessions
      .getSession({ app: this.#app, token, peek })
      .catch(unless(Code.NotFound));
    return found?.session;
  }

  /** What Latchkey has of the session, without touching it. */
  async #look(token: string): Promise<Known | undefined> {
    const found = await this.#find(token, true);
    return found && knownOf(found);
  }

  async #list(): Promise<Session[]> {
    const all: Session[] = [];
    let pageToken = "";
    do {
      const page = { app: this.#app, pageSize: PAGE_SIZE, pageToken };
      const { sessions, nextPageToken } = await this.#sessions.listSessions(page);
      all.push(...sessions);
      pageToken = nextPageToken;
    } while (pageToken !== "");
    return all;
  }

  #refuseOthers(data: SessionData, { userId }: Known): void {
    const user = this.#userOf(data) ?? userId;
    if (user === userId) return;
    throw new Error(
      "the session was begun for another user, or for none: call req.session.regenerate() before you log a user in",
    );
  }
}

function userIdOf(data: SessionData): string | undefined {
  const { userId } = data as { userId?: unknown };
  return typeof userId === "string" ? userId : undefined;
}

const knownOf = ({ userId, data }: Session): Known => ({ userId, data: { ...data } });

function refuseUnlessPlaceholder(sid: string): void {
  if (sid.startsWith("new-")) return;
  throw new Error("give express-session the store's genid: { store, genid: store.genid }");
}

/** For `catch`: undefined instead of an error with one of the codes. */
const unless =
  (...codes: readonly Code[]) =>
  (error: unknown): undefined => {
    if (error instanceof LatchkeyError && codes.includes(error.code)) return undefined;
    throw error;
  };

const nothing = () => undefined;

/** Calls back with the outcome, outside of the promise, so that what the callback throws is not lost. */
function answer<T>(
  outcome: Promise<T>,
  callback: (error: unknown, value?: T) => void = nothing,
): void {
  outcome.then(
    (value) => setImmediate(callback, null, value),
    (error: unknown) => setImmediate(callback, error),
  );
}
