import type { Random } from "../support/random.js";
import type { Call } from "./linearizability.js";
import type { Answer, Operation } from "./session-object.js";

/** Makes calls about sessions; a call that answers undefined has no answer. */
export interface Caller {
  /** Answers the new session's token as well. */
  create(value: number): Promise<{ readonly answer: Answer; readonly token: string } | undefined>;
  peek(token: string): Promise<Answer | undefined>;
  touch(token: string): Promise<Answer | undefined>;
  update(token: string, value: number): Promise<Answer | undefined>;
  /** Answers the new token as well. */
  rotate(token: string): Promise<{ readonly answer: Answer; readonly token: string } | undefined>;
  delete(token: string): Promise<Answer | undefined>;
}

export interface HistoryOptions {
  readonly callers: readonly Caller[];
  readonly random: Random;
  readonly sessions: number;
  /** How many calls come after a session's creation. */
  readonly calls: number;
  /** How many callers are at work on one session at once. */
  readonly workers: number;
  /** Lets some time pass. */
  readonly pause: () => Promise<void>;
}

/** Uses sessions from many sides at once, and answers what was called and answered, by session. */
export async function recordHistories(options: HistoryOptions): Promise<Call<Operation>[][]> {
  const { callers, random, sessions, workers, pause } = options;
  let time = 0;
  let values = 0;

  const recordOne = async (): Promise<Call<Operation>[]> => {
    const calls: Call<Operation>[] = [];
    const tokens: string[] = [];
    let left = options.calls;
    const note = (
      made: number,
      answer: Answer | undefined,
      operation: (answer: Answer) => Operation,
    ) => {
      const answered = answer === undefined ? Number.POSITIVE_INFINITY : ++time;
      calls.push({ operation: operation(answer ?? "absent"), made, answered });
    };
    const pick = () => callers[random(callers.length)] as Caller;

    const value = ++values;
    const made = ++time;
    const created = await pick().create(value);
    note(made, created?.answer, (answer) => ({ do: "create", value, answer }));
    if (!created) return calls;
    tokens.push(created.token);

    const work = async () => {
      while (left-- > 0) {
        await pause();
        // Mostly the newest.
        const token = random(4) === 0 ? random(tokens.length) : tokens.length - 1;
        const named = tokens[token] ?? "";
        const choice = random(100);
        const at = ++time;
        if (choice < 35) {
          const answer = await pick().peek(named);
          note(at, answer, (told) => ({ do: "peek", token, answer: told }));
        } else if (choice < 55) {
          const answer = await pick().touch(named);
          note(at, answer, (told) => ({ do: "touch", token, answer: told }));
        } else if (choice < 88) {
          const next = ++values;
          const answer = await pick().update(named, next);
          note(at, answer, (told) => ({ do: "update", token, value: next, answer: told }));
        } else if (choice < 98) {
          const rotated = await pick().rotate(named);
          // A token that nobody was told has a number of its own.
          const to = rotated && typeof rotated.answer === "object" ? tokens.length : 1_000 + at;
          if (to < 1_000) tokens.push(rotated?.token ?? "");
          note(at, rotated?.answer, (told) => ({ do: "rotate", token, to, answer: told }));
        } else {
          const answer = await pick().delete(named);
          note(at, answer, (told) => ({ do: "delete", token, answer: told }));
        }
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
    return calls;
  };
  return Promise.all(Array.from({ length: sessions }, recordOne));
}
