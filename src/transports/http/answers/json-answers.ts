import type { ServerResponse } from "node:http";

export const JSON_TYPE = "application/json; charset=utf-8";

export interface JsonAnswersOptions {
  /** Whether connections are to be closed after their answers. */
  readonly isDraining: () => boolean;
  /** Runs `work` once, when the present turn of the event loop has seen all that could be read. */
  readonly afterTurn: (work: () => void) => void;
}

interface Answer {
  readonly response: ServerResponse;
  readonly text: string;
}

export type JsonAnswers = ReturnType<typeof createJsonAnswers>;

/**
 * Answers with JSON, the answers of one turn of the event loop together at its end. To write to a
 * connection whose client sleeps wakes it, which costs as much as all else in a cached read; while
 * it reads one answer, the next come without waking it. Buys a quarter more reads a second at 32
 * connections (`bench -- http-get`), and costs an answer the rest of its turn.
 */
export function createJsonAnswers({ isDraining, afterTurn }: JsonAnswersOptions) {
  let waiting: Answer[] = [];

  const flush = () => {
    const answers = waiting;
    waiting = [];
    for (const { response, text } of answers) {
      // Else a client might send its next request into a connection that is closing.
      if (isDraining()) response.setHeader("connection", "close");
      const length = Buffer.byteLength(text);
      response.writeHead(200, { "content-type": JSON_TYPE, "content-length": length }).end(text);
    }
  };

  return {
    /** Answers 200 with `text`, at the end of this turn. */
    send(response: ServerResponse, text: string): void {
      if (waiting.length === 0) afterTurn(flush);
      waiting.push({ response, text });
    },
  };
}
