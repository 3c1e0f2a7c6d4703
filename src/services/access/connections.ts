import type { Account } from "../../domain/accounts/account.js";
import { LatchkeyError } from "../../domain/error.js";
import type { LineLog } from "../../lib/line-log.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { Authentication, Identity } from "./authentication.js";

/** One authenticated caller on one connection. Times are milliseconds since 1970. */
export interface CallerSession {
  /** `8-127.0.0.1:53531`: a number unique among the server's connections, a dash, the address. */
  readonly id: string;
  /** `127.0.0.1:53531`, or `[::1]:53531`; of a caller behind a trusted proxy the IP alone;
   * by a socket file `unix:PATH`. */
  readonly address: string;
  readonly transport: "grpc" | "http" | "command";
  readonly createdAt: number;
  /** Moves with every call. */
  readonly lastAccessedAt: number;
  readonly account: Account;
}

export interface Peer {
  readonly transport: CallerSession["transport"];
  /** `127.0.0.1:53531`, `[::1]:53531`, or `unix:PATH`. */
  readonly address: string;
  /** The subject common name of its verified client certificate. */
  readonly commonName?: string;
  /** Ends the connection at once; may be called when it is gone. */
  readonly end: () => void;
  /** Its place among the connections that the server takes. */
  readonly place?: {
    /** Notes that a caller is known. Returns false if there is no room for such a connection. */
    settle(): boolean;
    /** Notes that no caller is known any more. */
    unsettle(): void;
  };
}

export interface Connection {
  /** What its first caller's session is called; no other session ever is. */
  readonly id: string;

  /**
   * Who calls: by the call's `authorization` header, else by the login or the client certificate
   * of the connection. Throws or rejects as `Authentication` does, and `unauthenticated` if there
   * is none of these, or `unavailable` if known callers have all connections that they may have.
   * Synchronous, a look-up in a map, for who called on this connection before.
   * Moves `lastAccessedAt`. `forwarded` is the IP address that a trusted proxy makes the call for,
   * each of which is a caller of its own.
   */
  identify(header: string | undefined, forwarded?: string): MaybePromise<CallerSession>;

  /** By name and password; from then on the connection is its caller's, with no header needed. */
  login(name: string, password: string): Promise<CallerSession>;

  /** Logs that a call was refused before it came to credentials. */
  noteFailure(reason: string): void;

  /** The connection is gone, and its sessions with it. May be called again. */
  close(): void;
}

export interface Connections {
  open(peer: Peer): Connection;

  /**
   * Looks at every caller anew; to be called after every change of accounts or keys. An ended
   * credential is forgotten, so that its next call is refused; a connection that only ended
   * accounts called on is ended.
   */
  review(): void;

  /** Throws `unauthenticated` if what a caller authenticated itself by has ended. */
  checkStanding(caller: CallerSession): void;

  /** Aborted when `review` finds that what a caller authenticated itself by has ended. */
  endOf(caller: CallerSession): AbortSignal;

  /** Every caller as it is at this moment, the oldest connection first. */
  list(): CallerSession[];
}

export interface ConnectionsOptions {
  readonly authentication: Authentication;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Gets a line for each call that was refused without a look at credentials. */
  readonly logger: Pick<LineLog, "warn">;
}

/** Callers that one connection remembers: a proxy's, say. The longest unused is forgotten first. */
export const REMEMBERED_CALLERS = 16;

/** How often (ms) a connection tells of its callers' use, for the last use of their keys. */
const NOTE_INTERVAL = 60_000;

/** A header, or undefined for the caller to whom the connection itself belongs; behind a proxy
 * also for whom it calls. */
type Credential = string | undefined;

/** No header has a line feed, so none is taken for a header and an address. */
function credentialOf(header: string | undefined, forwarded: string | undefined): Credential {
  if (forwarded === undefined) return header;
  return header === undefined ? `\n${forwarded}` : `\n${forwarded}\n${header}`;
}

interface Caller {
  readonly session: { -readonly [K in keyof CallerSession]: CallerSession[K] };
  readonly identity: Identity;
  /** The instant (ms) from which its credential proves nothing. */
  readonly expiresAt: number;
  /** The instant (ms) from which a call is more than a look-up. */
  checkAt: number;
  /** When it called last, in calls of the connection. */
  lastCall: number;
}

interface OpenConnection extends Connection {
  readonly peer: Peer;
  readonly callers: Map<Credential, Caller>;
}

/**
 * The connections that are open, and who calls on each. A caller is authenticated once per
 * connection, and stands until `review` finds its credential ended or that expires by itself.
 */
export function createConnections({
  authentication,
  now,
  logger,
}: ConnectionsOptions): Connections {
  const connections = new Set<OpenConnection>();
  const identities = new WeakMap<CallerSession, Identity>();
  const ends = new WeakMap<CallerSession, AbortController>();
  /** One for all: strangers come by the thousand, and a stack of each takes longer than the rest. */
  const noCredentials = refused();
  let last = 0;
  const newId = (address: string) => `${++last}-${address}`;

  const open = (peer: Peer): OpenConnection => {
    const ip = hostOf(peer.address);
    const id = newId(peer.address);
    let isIdUsed = false;
    let closed = false;
    let calls = 0;
    let { commonName } = peer;
    const callers = new Map<Credential, Caller>();
    const pending = new Map<Credential, Promise<CallerSession>>();

    const assertOpen = () => {
      if (closed) throw new LatchkeyError("unauthenticated", "the connection has ended");
    };

    const remember = (
      credential: Credential,
      identity: Identity,
      forwarded?: string,
    ): CallerSession => {
      assertOpen();
      // The account may have changed while its password was being verified.
      if (authentication.standing(identity) !== "valid") throw refused();
      if (callers.size === 0 && peer.place?.settle() === false) throw full();
      const at = now();
      const address = forwarded ?? peer.address;
      // The connection's own id has the peer's address.
      const isNewId = isIdUsed || forwarded !== undefined;
      const session = {
        id: isNewId ? newId(address) : id,
        address,
        transport: peer.transport,
        createdAt: at,
        lastAccessedAt: at,
        account: identity.account,
      };
      isIdUsed ||= !isNewId;
      identities.set(session, identity);
      const expiresAt = identity.expiresAt ?? Number.POSITIVE_INFINITY;
      const checkAt = Math.min(expiresAt, at + NOTE_INTERVAL);
      callers.set(credential, { session, identity, expiresAt, checkAt, lastCall: ++calls });
      if (callers.size > REMEMBERED_CALLERS) forgetLongestUnused(callers);
      return session;
    };

    const noteFailure = (reason: string, address = ip) => {
      logger.warn({ address, reason }, "authentication failed");
    };

    const identityOf = (header: string | undefined, address: string): MaybePromise<Identity> => {
      if (header !== undefined) return authentication.byHeader(header, address);
      if (commonName !== undefined) return authentication.byCertificate(commonName, address);
      noteFailure("no credentials", address);
      throw noCredentials;
    };

    const verify = (
      header: string | undefined,
      forwarded?: string,
    ): MaybePromise<CallerSession> => {
      assertOpen();
      const credential = credentialOf(header, forwarded);
      forget(connection, credential);
      const underway = pending.get(credential);
      if (underway) return underway;
      const identity = identityOf(header, forwarded ?? ip);
      if (!(identity instanceof Promise)) return remember(credential, identity, forwarded);
      const session = identity
        .then((verified) => remember(credential, verified, forwarded))
        .finally(() => pending.delete(credential));
      pending.set(credential, session);
      return session;
    };

    const connection: OpenConnection = {
      id,
      peer,
      callers,
      identify(header, forwarded) {
        const at = now();
        const caller = callers.get(credentialOf(header, forwarded));
        if (caller === undefined) return verify(header, forwarded);
        if (at >= caller.checkAt) {
          if (at >= caller.expiresAt) return verify(header, forwarded);
          authentication.noteUse(caller.identity);
          caller.checkAt = Math.min(caller.expiresAt, at + NOTE_INTERVAL);
        }
        caller.lastCall = ++calls;
        // A clock set back moves nothing back.
        if (at > caller.session.lastAccessedAt) caller.session.lastAccessedAt = at;
        return caller.session;
      },
      async login(name, password) {
        assertOpen();
        const session = remember(undefined, await authentication.byPassword(name, password, ip));
        // When the login ends, its connection must not turn into another account's.
        commonName = undefined;
        return session;
      },
      noteFailure: (reason) => noteFailure(reason),
      close() {
        closed = true;
        callers.clear();
        connections.delete(connection);
      },
    };
    connections.add(connection);
    return connection;
  };

  const review = (connection: OpenConnection) => {
    let hasEnded = false;
    for (const [credential, { identity, session }] of connection.callers) {
      const standing = authentication.standing(identity);
      if (standing === "valid") continue;
      forget(connection, credential);
      ends.get(session)?.abort();
      if (standing === "account ended") hasEnded = true;
    }
    // A proxy's connection stays for the other accounts; the ended one's calls are refused, and
    // its streams end.
    if (hasEnded && connection.callers.size === 0) {
      connection.close();
      connection.peer.end();
    }
  };

  return {
    open,
    review: () => connections.forEach(review),
    checkStanding(caller) {
      const identity = identities.get(caller);
      if (identity && authentication.standing(identity) === "valid") return;
      throw new LatchkeyError("unauthenticated", "the credentials of the call have ended");
    },
    endOf(caller) {
      const end = ends.get(caller) ?? new AbortController();
      ends.set(caller, end);
      return end.signal;
    },
    list: () =>
      [...connections].flatMap(({ callers }) =>
        [...callers.values()].map(({ session }) => ({ ...session })),
      ),
  };
}

/** What stands for a peer whatever its port: an IP address without brackets, or `unix:PATH`. */
function hostOf(address: string): string {
  if (address.startsWith("unix:")) return address;
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}

function forgetLongestUnused(callers: Map<Credential, Caller>): void {
  const [longest] = [...callers].sort(([, a], [, b]) => a.lastCall - b.lastCall);
  if (longest) callers.delete(longest[0]);
}

/** Forgets a caller, if there is one of the credential. */
function forget({ callers, peer }: OpenConnection, credential: Credential): void {
  if (callers.delete(credential) && callers.size === 0) peer.place?.unsettle();
}

function full(): LatchkeyError {
  return new LatchkeyError(
    "unavailable",
    "the server has as many connections as it takes: connect again later, or to another server",
  );
}

function refused(): LatchkeyError {
  return new LatchkeyError(
    "unauthenticated",
    "the call needs credentials: an authorization header with an API key (Bearer) or a name and password (Basic)",
  );
}
