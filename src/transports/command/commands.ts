import type { Command } from "../../../gen/ts/latchkey/command/v1/command_pb.js";
import { LatchkeyError } from "../../domain/error.js";
import { chain, type MaybePromise } from "../../lib/maybe-promise.js";
import type { Connection } from "../../services/access/connections.js";
import type { Calls } from "../call/calls.js";
import { type ShownSession, toRfc3339, toSessionObject } from "../rpc/caller-session.js";

export interface CommandsOptions {
  readonly calls: Calls;
  /** When the server started: milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What STATUS tells besides, names in snake_case. */
  readonly counts: () => Readonly<Record<string, number>>;
}

/** The commands of one connection, to be answered one after the other. */
export interface Conversation {
  /** Whether its AUTH was accepted. */
  isAuthenticated(): boolean;
  /** The answer's result; throws or rejects with a LatchkeyError whose message is the answer. */
  answer(command: Command): MaybePromise<string>;
}

export interface Commands {
  /**
   * Begins a conversation with the client of that id; the connection is null where authentication
   * is off.
   */
  converse(connection: Connection | null, clientId: string): Conversation;
}

/** The result of one command. */
type Handler = (args: readonly string[], session: ShownSession) => string;

/** Characters of a name that SESSION shows where authentication is off; a longer one is left out. */
const NAME_LIMIT = 64;

/** What each command answers; its documentation is in command.proto. */
export function createCommands({ calls, startedAt, now, counts }: CommandsOptions): Commands {
  const handlers: Readonly<Record<string, Handler>> = {
    PING: (args) => ["PONG", ...args].join(" "),
    SESSION(args, session) {
      if (args.length > 0) throw invalidArgument("SESSION takes no arguments");
      return JSON.stringify(toSessionObject(session));
    },
    STATUS() {
      const status = { server_status: "running", up_time: toRfc3339(startedAt), ...counts() };
      return JSON.stringify(status);
    },
  };
  const methodOf = (name: string, handle: Handler) => ({ handle, run: calls.of("command", name) });
  const known = new Map(Object.entries(handlers).map(([name, one]) => [name, methodOf(name, one)]));
  // Names that nobody knows share one label, or a caller could make metrics grow.
  const unknown = methodOf("unknown", refuseUnknown);
  const runAuth = calls.of("command", "AUTH");

  return {
    converse(connection, clientId) {
      let authenticated = false;
      /** Where authentication is off: who the client says it is, as an Admin, for it may do all. */
      let anonymous: ShownSession | null = null;

      const beginAnonymous = (name: string) => {
        const at = now();
        anonymous = {
          id: clientId,
          createdAt: at,
          lastAccessedAt: at,
          account: { name: name.length > NAME_LIMIT ? "" : name, role: "Admin" },
        };
      };

      /** The session of the next command, which moves its last access; throws if it has ended. */
      const currentSession = (): MaybePromise<ShownSession> => {
        if (connection) return connection.identify(undefined);
        if (!anonymous) throw new LatchkeyError("unauthenticated", UNAUTHORIZED);
        anonymous = { ...anonymous, lastAccessedAt: now() };
        return anonymous;
      };

      const authenticate = (args: readonly string[]): MaybePromise<string> => {
        if (authenticated) throw invalidCommand("the connection is authenticated already");
        return chain(logIn(args, connection), () => {
          authenticated = true;
          if (!connection) beginAnonymous(args[0] ?? "");
          return "Connected";
        });
      };

      return {
        isAuthenticated: () => authenticated,
        answer({ command, args }) {
          const name = command.toUpperCase();
          if (name === "AUTH") return runAuth(authenticate, args);
          const { handle, run } = known.get(name) ?? unknown;
          return run(() => {
            if (!authenticated) {
              connection?.noteFailure("no credentials");
              throw new LatchkeyError("unauthenticated", UNAUTHORIZED);
            }
            return chain(currentSession(), (session) => handle(args, session));
          }, undefined);
        },
      };
    },
  };
}

const UNAUTHORIZED = "unauthorized or session not found";

/** What a caller is told; why its credentials were refused is none of that. */
export function errorText({ code, message }: LatchkeyError): string {
  return code === "unauthenticated" ? UNAUTHORIZED : message;
}

function logIn(args: readonly string[], connection: Connection | null): MaybePromise<unknown> {
  const [name = "", password = "", ...more] = args;
  if (args.length === 1 || more.length > 0) {
    connection?.noteFailure("malformed AUTH");
    throw invalidArgument("AUTH takes a name and a password");
  }
  if (connection === null) return null;
  return name === "" && password === ""
    ? connection.identify(undefined)
    : connection.login(name, password);
}

function refuseUnknown(): never {
  throw invalidCommand("no such command; there are PING, SESSION and STATUS");
}

function invalidCommand(message: string): LatchkeyError {
  return new LatchkeyError("invalid", `InvalidCommandError: ${message}`);
}

function invalidArgument(message: string): LatchkeyError {
  return new LatchkeyError("invalid", `InvalidArgumentError: ${message}`);
}
