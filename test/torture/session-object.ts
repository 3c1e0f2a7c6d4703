import type { Specification } from "./linearizability.js";

/** What a caller is told of a session. */
export interface Seen {
  readonly value: number;
  readonly version: number;
  readonly reads: number;
}

export type Answer = Seen | "absent" | "rotated" | "done";

/** A call about one session, whose tokens are numbered, with its answer. */
export type Operation =
  | { readonly do: "create"; readonly value: number; readonly answer: Answer }
  | { readonly do: "peek" | "touch" | "delete"; readonly token: number; readonly answer: Answer }
  | {
      readonly do: "update";
      readonly token: number;
      readonly value: number;
      readonly answer: Answer;
    }
  | { readonly do: "rotate"; readonly token: number; readonly to: number; readonly answer: Answer };

interface Live extends Seen {
  /** That open it; the last is the newest. */
  readonly tokens: readonly number[];
}

/** What a session does when one call comes at a time; it does not expire meanwhile. */
export const SESSION: Specification<Live | "unborn" | "ended", Operation> = {
  initial: "unborn",
  apply(state, operation, isAnswered) {
    const result = perform(state, operation);
    const { answer } = operation;
    if (isAnswered && JSON.stringify(result.answer) !== JSON.stringify(answer)) return undefined;
    return result.state;
  },
};

function perform(
  state: Live | "unborn" | "ended",
  operation: Operation,
): { readonly state: Live | "unborn" | "ended"; readonly answer: Answer } {
  if (operation.do === "create") {
    if (state !== "unborn") return { state, answer: "absent" };
    const made = { value: operation.value, version: 1, reads: 1 };
    return { state: { ...made, tokens: [0] }, answer: made };
  }
  if (typeof state === "string" || !state.tokens.includes(operation.token)) {
    return { state, answer: "absent" };
  }
  const became = (change: Partial<Live>) => {
    const { value, version, reads, tokens } = { ...state, ...change };
    return { state: { value, version, reads, tokens }, answer: { value, version, reads } };
  };
  switch (operation.do) {
    case "peek":
      return became({});
    case "touch":
      return became({ reads: state.reads + 1 });
    case "update":
      return became({ value: operation.value, version: state.version + 1 });
    case "rotate":
      if (state.tokens.at(-1) !== operation.token) return { state, answer: "rotated" };
      return became({ version: state.version + 1, tokens: [...state.tokens, operation.to] });
    case "delete":
      return { state: "ended", answer: "done" };
  }
}
