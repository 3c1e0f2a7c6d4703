import { LatchkeyError } from "../../domain/error.js";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { IdleTimer, StartIdleTimer } from "../net/idle-timer.js";
import { type AnswerMemoryOptions, createAnswerMemory } from "./answer-memory.js";

/** Seconds that an answer of a stream may wait to be read. */
export const UNREAD = 60;

/** Seconds after which an answer that is not read gives way to streams that wait for memory. */
export const YIELDING = 5;

/** Bytes set aside for an answer that is yet to be made: what the largest takes. */
const RESERVED = 512 * 1024;

/** `unread`: an answer waited too long; `memory`: others needed what it held. */
export type CutReason = "unread" | "memory";

/** The answers of one stream, sent one after the other. */
export interface AnswerStream {
  /** Resolves once there is memory for the next answer, or the stream is over. To be called before
   * an answer is made that may be large. */
  room(): MaybePromise<void>;
  /**
   * Sends an answer of so many bytes: `write` calls back when they have left. Resolves then, or when
   * the stream is over. Rejects with `failure` if they have not left in time; what is sent after
   * that is written at once.
   */
  send(bytes: number, write: (sent: () => void) => void): Promise<void>;
  /** Why the stream is to end; undefined while it is not. */
  failure(): LatchkeyError | undefined;
  /** The stream is over and holds nothing any more. May be called again. */
  end(): void;
}

export interface AnswerStreamOptions {
  /** Who holds what it holds: an account, or an address. */
  readonly owner: string | number;
  /** What it came by: those of an owner take turns. */
  readonly connection: unknown;
  /** Ends the stream with what of it is not read. `end` is to be called when that has come about. */
  readonly cut: () => void;
  /** How many times its bytes an answer takes. */
  readonly weight: number;
}

export interface UnreadAnswersOptions extends AnswerMemoryOptions {
  readonly startIdleTimer: StartIdleTimer;
  /** Called for each stream that is ended because its reader is slow. */
  readonly onCut: (reason: CutReason) => void;
}

export type UnreadAnswers = ReturnType<typeof createUnreadAnswers>;

/**
 * Bounds what streams hold for readers who do not read. A stream makes its next answer when there is
 * memory for it. An answer that waits for UNREAD seconds ends its stream; where others wait for
 * memory, YIELDING seconds are enough.
 */
export function createUnreadAnswers(options: UnreadAnswersOptions) {
  const { startIdleTimer, onCut } = options;
  const memory = createAnswerMemory(options);

  return {
    /** Bytes that are held now. */
    held: memory.held,

    /** Begins a stream. */
    open({ owner, connection, cut, weight }: AnswerStreamOptions): AnswerStream {
      let failure: LatchkeyError | undefined;
      let isOver = false;
      let timer: IdleTimer | undefined;
      let settle = () => {};
      const leave = () => {
        timer?.stop();
        part.leave();
        cut();
      };
      const part = memory.open(owner, connection, () => {
        if (!failure) onCut("memory");
        leave();
      });
      const wait = (seconds: number, work: () => void) => {
        timer = startIdleTimer(seconds * 1_000, work);
      };
      const expire = (reject: (error: LatchkeyError) => void) =>
        wait(YIELDING, () => {
          wait(UNREAD - YIELDING, () => {
            onCut("unread");
            failure = notRead();
            reject(failure);
            // A reader who goes on in this time is told.
            wait(UNREAD, leave);
          });
          part.yields(true);
        });

      return {
        failure: () => failure,

        room: () => part.reserve(RESERVED * weight),

        send(bytes, write) {
          if (isOver) return Promise.resolve();
          if (failure) {
            write(() => {});
            return Promise.resolve();
          }
          return new Promise((resolve, reject) => {
            settle = resolve;
            part.hold(bytes * weight);
            expire(reject);
            write(() => {
              if (isOver) return;
              // Else what tells of the failure would have no time to be read.
              if (!failure) timer?.stop();
              part.yields(false);
              part.hold(0);
              resolve();
            });
          });
        },

        end() {
          isOver = true;
          timer?.stop();
          part.close();
          settle();
        },
      };
    },
  };
}

function notRead(): LatchkeyError {
  return new LatchkeyError(
    "limit",
    `an answer waited for ${UNREAD} s to be read: resume from the last revision received`,
  );
}
