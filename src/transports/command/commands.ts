import type { Command } from "../../../gen/ts/latchkey/command/v1/command_pb.js";
import { type Awaitable, then } from "../../domain/awaitable.js";
import { LatchkeyError } from "../../domain/error.js";
import { toRfc3339, toSessionObject } from "../../services/caller-session.js";
import type { CallerSession, Connection } from "../../services/connections.js";
import type { Calls } from "../calls.js";

export interface CommandsOptions {
  readonly calls: Calls;
  /** When the server started: milliseconds since 1970. */
  readonly startedAt: number;
  /** What STATUS tells besides, names in snake_case. */
  readonly counts: () => Readonly<Record<string, number>>;
}

/** The commands of one connection, to be answered one after the other. */
export interface Conversation {
  /** Whether its AUTH was accepted. */
  isAuthenticated(): boolean;
  /** The answer's result; throws or rejects with a LatchkeyError whose message is the answer. */
  answer(command: Command): Awaitable<string>;
}

export interface Commands {
  /** Begins a conversation; the connection is null where authentication is off. */
  converse(connection: Connection | null): Conversation;
}

/** The result of one command; the caller is null where authentication is off. */
type Handler = (args: readonly string[], caller: CallerSession | null) => string;

/** What each command answers; its documentation is in command.proto. */
export function createCommands({ calls, startedAt, counts }: CommandsOptions): Commands {
  const handlers: Readonly<Record<string, Handler>> = {
    PING: (args) => ["PONG", ...args].join(" "),
    SESSION(args, caller) {
      if (args.length > 0) throw invalidArgument("SESSION takes no arguments");
      if (caller === null) throw new LatchkeyError("not_found", UNAUTHORIZED);
      return JSON.stringify(toSessionObject(caller));
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
    converse(connection) {
      let authenticated = false;

      const authenticate = (args: readonly string[]): Awaitable<string> => {
        if (authenticated) throw invalidCommand("the connection is authenticated already");
        return then(logIn(args, connection), () => {
          authenticated = true;
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
            // Every command moves the session's last access, and is refused once it has ended.
            const caller = connection?.identify(undefined) ?? null;
            return then(caller, (session) => handle(args, session));
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

function logIn(
  args: readonly string[],
  connection: Connection | null,
): Awaitable<CallerSession | null> {
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
