import type { Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Command,
  CommandSchema,
  ResponseSchema,
} from "../../../gen/ts/latchkey/command/v1/command_pb.js";
import { LatchkeyError } from "../../domain/error.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import { type Conversation, errorText } from "./commands.js";
import { createFrameReader, encodeFrame } from "./frames.js";

/** How long (ms) and how much a connection may take. */
export interface ConnectionLimits {
  /** Bytes of a frame's body. */
  readonly frame: number;
  /** From its begin until its first command is complete. */
  readonly firstCommand: number;
  /** From one command to the next; null: for ever. */
  readonly idle: number | null;
  /** Until the client has taken the answers that wait for it. */
  readonly drain: number;
  /** From the server's end of the connection until the client's. */
  readonly linger: number;
}

export interface ServeOptions {
  /** What its answers call it. */
  readonly clientId: string;
  readonly conversation: Conversation;
  readonly limits: ConnectionLimits;
  /** Called once, when its AUTH was accepted. */
  readonly onAuthenticated: () => void;
  /** Told why the connection ends where a limit of time ends it. */
  readonly onLimit: (reason: string) => void;
}

export interface ServedConnection {
  /** Answers what has arrived, chain ends. */
  finish(): void;
  /** Answers an error that no command asked for, chain ends; cuts a connection that is ending. */
  end(reason: string): void;
}

/**
 * Answers the commands that come by a socket, in their order: the next one is not looked at before
 * the answer to the last one is known, nor are more bytes read than fit one buffer while the client
 * does not take its answers. So what waits unsent is never more than a buffer and one answer.
 */
export function serveConnection(socket: Socket, options: ServeOptions): ServedConnection {
  const { clientId, conversation, limits, onAuthenticated, onLimit } = options;
  const frames = createFrameReader(limits.frame);
  // Of these at most one keeps the next command waiting.
  let answering = false;
  let draining = false;
  // No more is expected: the client has sent all, or the server stops.
  let finishing = false;
  let ended = false;
  let isAuthenticated = false;
  let deadline: NodeJS.Timeout | undefined;

  const within = (time: number | null, expire: () => void = () => socket.destroy()) => {
    clearTimeout(deadline);
    if (!socket.destroyed && time !== null) deadline = setTimeout(expire, time);
  };

  /** A limit of time has passed that the client is told of. */
  const expire = (reason: string) => {
    onLimit(reason);
    tell(reason);
  };

  const untilNext = () => {
    const { idle } = limits;
    within(idle, () => {
      // A command is under way, whose answer comes first.
      if (answering) untilNext();
      else expire(`LimitError: no command came for ${(idle ?? 0) / 1_000} s`);
    });
  };

  const untilTaken = () =>
    within(limits.drain, () => {
      onLimit(`LimitError: answers were not taken for ${limits.drain / 1_000} s`);
      socket.destroy();
    });

  const nextCommand = (): Command | null => {
    for (;;) {
      const frame = frames.next();
      if (frame) return decode(frame);
      const chunk: Buffer | null = socket.read();
      if (!chunk) return null;
      frames.push(chunk);
    }
  };

  const pump = () => {
    // One write for what is answered together.
    socket.cork();
    while (!answering && !draining && !ended) {
      let command: Command | null;
      try {
        command = nextCommand();
      } catch (error) {
        write("Error", errorText(error as LatchkeyError)); // As reading frames and commands throws.
        end();
        break;
      }
      if (command) take(command);
      else if (finishing) end();
      else break;
    }
    socket.uncork();
  };

  const take = (command: Command) => {
    untilNext();
    let answered: MaybePromise<string>;
    try {
      answered = conversation.answer(command);
    } catch (error) {
      return refuse(error as LatchkeyError); // As a conversation promises.
    }
    if (!(answered instanceof Promise)) return accept(answered);
    answering = true;
    answered.then(accept, refuse).finally(() => {
      answering = false;
      pump();
    });
  };

  const accept = (result: string) => {
    if (!isAuthenticated && conversation.isAuthenticated()) {
      isAuthenticated = true;
      onAuthenticated();
    }
    write("Ok", result);
  };

  const write = (status: "Ok" | "Error", result: string) => {
    const response = { clientId, status, result: Buffer.from(result) };
    const frame = encodeFrame(toBinary(ResponseSchema, create(ResponseSchema, response)));
    if (socket.write(frame)) return;
    draining = true;
    untilTaken();
  };

  const refuse = (error: LatchkeyError) => {
    write("Error", errorText(error));
    if (!conversation.isAuthenticated() || error.code === "unauthenticated") end();
  };

  const end = () => {
    ended = true;
    within(limits.drain);
    socket.end(() => within(limits.linger));
    // What the client still sends is thrown away: closing upon it could lose it the last answer.
    socket.removeListener("readable", pump).resume();
  };

  socket.setNoDelay(true);
  // A client that has sent all it wants to may wait for its answers.
  socket.allowHalfOpen = true;
  socket.on("readable", pump);
  socket.on("drain", () => {
    draining = false;
    if (ended) return;
    untilNext();
    // Not at once: others have their turn between two buffers of answers.
    setImmediate(pump);
  });
  const finish = () => {
    finishing = true;
    pump();
  };
  const tell = (reason: string) => {
    if (ended) {
      socket.destroy();
      return;
    }
    write("Error", reason);
    end();
  };
  const { firstCommand } = limits;
  within(firstCommand, () =>
    expire(`LimitError: AUTH did not come within ${firstCommand / 1_000} s`),
  );
  socket.on("end", finish);
  // A peer that breaks off; `close` follows.
  socket.on("error", () => {});
  socket.on("close", () => {
    ended = true;
    clearTimeout(deadline);
  });
  return { finish, end: tell };
}

function decode(frame: Buffer): Command {
  try {
    return fromBinary(CommandSchema, frame);
  } catch {
    throw new LatchkeyError("invalid", "InvalidFrameError: the frame's body is no Command");
  }
}
