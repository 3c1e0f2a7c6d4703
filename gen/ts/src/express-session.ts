import { randomUUID } from "node:crypto";
import type { Request } from "express";
import session, { type SessionData } from "express-session";
import type { Latchkey } from "./clients.js";
import { answer } from "./express-answer.js";
import { createSessionCalls, type Known, type SessionCalls } from "./express-calls.js";
import { type Texts, toSessionData, toTexts } from "./express-data.js";
import { createReaders, holdConnection } from "./express-hold.js";
import { maxAgeOf } from "./express-lifetime.js";
import { createOrder } from "./express-order.js";
import { clientOf, requestOf } from "./express-request.js";
import { CANNOT_MOVE, isOther, moveSession, userOfSession } from "./express-user.js";
import { toUserId } from "./user-id.js";

export interface LatchkeyStoreOptions {
  readonly latchkey: Latchkey;
  /** The app that the sessions belong to. */
  readonly app: string;
  /**
   * Whose session it is; undefined before the login. By default its `userId`, or the user that
   * Passport serialised, by `id` if that is an object. An integer, a UUID or an ObjectId becomes its
   * text; of anything else saving fails.
   */
  readonly userOf?: (session: SessionData) => unknown;
}

/** What a save is to write, as it was when it was asked for. */
interface Save {
  readonly sid: string;
  readonly data: SessionData;
  readonly texts: Texts;
  readonly maxAge: number | undefined;
  readonly userId: string | undefined;
  /** The session that takes over, if the user is another one. */
  readonly heir: session.Session | undefined;
}

const TOKEN = /^[\w-]{22,256}$/;

/**
 * A store for express-session. The ids that express-session makes are the sessions' tokens in
 * Latchkey, for which the app's policy must have `caller_tokens`; see docs/clients.md.
 *
 * A session belongs to one user for all its life. Where a request logs a user in without
 * `req.session.regenerate`, its session moves to a new token and the one before ends, so that a token
 * that somebody knew before the login is worth nothing after it.
 *
 * Saving writes the keys that changed, so that parallel requests keep each other's changes. A
 * session that was read, and ended since, stays so, whatever is saved.
 *
 * A store is not told which request reads, so a policy that binds sessions to an address or a user
 * agent has no effect here.
 */
export class LatchkeyStore extends session.Store {
  readonly #calls: SessionCalls;
  readonly #userOf: (session: SessionData) => unknown;
  readonly #known = new WeakMap<object, Known>();
  /** The last save of each session that is under way: one waits for the one before. */
  readonly #saving = new WeakMap<object, Promise<unknown>>();
  readonly #order = createOrder();
  readonly #readers = createReaders();

  constructor({ latchkey, app, userOf = userOfSession }: LatchkeyStoreOptions) {
    super();
    this.#calls = createSessionCalls(latchkey.sessions, app);
    this.#userOf = userOf;
  }

  /**
   * Gives the request's session a new token, which the response's cookie then has; the old one works
   * for 30 s more. `req.session` is another object afterwards. Resolves with false if another request
   * did so, or the session has ended or was never saved.
   */
  async rotate(req: Request): Promise<boolean> {
    await this.#saving.get(req.session);
    const known = this.#known.get(req.session);
    if (!known) return false;
    const token = await this.#calls.rotate(known.token);
    if (token === undefined) return false;
    const data = JSON.parse(JSON.stringify(req.session)) as SessionData;
    this.#known.set(data, { ...known, token });
    req.sessionID = token;
    this.createSession(req, data);
    return true;
  }

  override createSession(req: Request, data: SessionData): session.Session & SessionData {
    const known = this.#known.get(data);
    const created = super.createSession(req, data);
    if (known) this.#known.set(created, known);
    this.#readers.add(req);
    return created;
  }

  override get(sid: string, callback: (error: unknown, session?: SessionData) => void): void {
    answer<SessionData | undefined>(this.#read(sid), callback);
  }

  override set(sid: string, data: SessionData, callback?: (error?: unknown) => void): void {
    const release = holdConnection(requestOf(data));
    answer(this.#save(sid, data), callback, release);
  }

  override touch(sid: string, data: SessionData, callback?: (error?: unknown) => void): void {
    const release = holdConnection(requestOf(data));
    answer(this.#order.write(sid, this.#touch(sid, data)), callback, release);
  }

  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    const release = this.#readers.hold(sid);
    const ending = TOKEN.test(sid) ? this.#calls.end(sid) : Promise.resolve();
    answer(this.#order.write(sid, ending), callback, release);
  }

  override all(callback: (error: unknown, sessions?: SessionData[]) => void): void {
    const now = Date.now();
    answer(
      this.#calls.list().then((all) => all.flatMap((one) => toSessionData(one, now) ?? [])),
      callback,
    );
  }

  override length(callback: (error: unknown, length?: number) => void): void {
    answer(
      this.#calls.list().then(({ length }) => length),
      callback,
    );
  }

  override clear(callback?: (error?: unknown) => void): void {
    answer(this.#calls.clear(), callback);
  }

  async #read(token: string): Promise<SessionData | undefined> {
    if (!TOKEN.test(token)) return undefined;
    await this.#order.settled(token);
    // Counts as a touch, so that most requests need no other call.
    const found = await this.#calls.find(token, false);
    if (!found) return undefined;
    const data = toSessionData(found, Date.now());
    if (!data) await this.#calls.end(token);
    else this.#known.set(data, this.#calls.knownOf(token, found));
    return data;
  }

  /** Takes what is to be saved at once: the app may change it, and the headers go out. */
  async #save(sid: string, data: SessionData): Promise<void> {
    if (!TOKEN.test(sid)) {
      throw new TypeError("the genid of express-session must give 22 to 256 of [A-Za-z0-9_-]");
    }
    const now = Date.now();
    const userId = toUserId(this.#userOf(data));
    const known = this.#known.get(data);
    const heir = known && isOther(userId, known) ? moveSession(this, data) : undefined;
    const maxAge = maxAgeOf(data, now);
    const save = { sid, data, texts: toTexts(data, now), maxAge, userId, heir };
    const before = this.#saving.get(data) ?? Promise.resolve();
    const saving = before.catch(() => undefined).then(() => this.#write(save));
    this.#saving.set(data, saving);
    if (heir) this.#saving.set(heir, saving);
    await Promise.all([sid, ...(heir ? [heir.id] : [])].map((id) => this.#order.write(id, saving)));
  }

  async #write({ sid, data, texts, maxAge, userId, heir }: Save): Promise<void> {
    let known = this.#known.get(data);
    // What express-session made for a request, and nobody saved, is new.
    const isNew = !known && requestOf(data) !== undefined;
    if (!known && !isNew) known = await this.#calls.look(sid);
    if (maxAge !== undefined && maxAge <= 0) {
      if (known) await this.#calls.end(known.token);
      return;
    }
    if (known && !isOther(userId, known)) {
      this.#known.set(data, await this.#calls.update(known, texts, maxAge));
      return;
    }
    if (known && !heir) throw new Error(CANNOT_MOVE);
    const token = heir?.id ?? sid;
    const owner = userId ?? known?.userId ?? `anonymous:${randomUUID()}`;
    const client = clientOf(requestOf(data));
    const created = await this.#calls.create({ token, userId: owner, ...client, texts, maxAge });
    this.#known.set(heir ?? data, created);
    if (known) await this.#calls.end(known.token);
  }

  async #touch(sid: string, data: SessionData): Promise<void> {
    const known = this.#known.get(data);
    if (!known) {
      if (TOKEN.test(sid)) await this.#calls.find(sid, false);
      return;
    }
    // It was touched when it was read. The cookie may have changed, and is not what is saved.
    const now = Date.now();
    const cookie = toTexts(data, now).get("cookie");
    const texts = new Map(known.texts);
    if (cookie !== undefined) texts.set("cookie", cookie);
    this.#known.set(data, await this.#calls.update(known, texts, maxAgeOf(data, now)));
  }
}
