import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import { overloaded } from "../../../domain/error.js";
import { createWorkLimits } from "../../../services/work-limit.js";
import { JSON_TYPE, type JsonAnswers } from "./json-answers.js";

/** Long answers that a caller may have under way, each of which takes memory. */
const AT_ONCE = 4;

/** Such answers of a caller that wait; more are refused. */
const WAITING = 64;

/** Characters up to which an answer is sent as a whole, with its length, as clients are used to. */
const WHOLE = 1_048_576;

/** As `stall` below, if that is absent. */
const STALL = 30_000;

export interface JsonStreamsOptions {
  /** What answers whose text is in memory as a whole are given to. */
  readonly answers: JsonAnswers;
  /** Whether connections are to be closed after their answers. */
  readonly isDraining: () => boolean;
  /** Milliseconds in which a client that is sent an answer must read something of it. */
  readonly stall?: number;
}

/** Answers that may be too long to be in memory as a whole, written as fast as they are read. */
export function createJsonStreams({ answers, isDraining, stall = STALL }: JsonStreamsOptions) {
  const limited = createWorkLimits({ running: AT_ONCE, waiting: WAITING, refusal: overloaded });

  const cutIfStalled = (response: ServerResponse): void => {
    response.setTimeout(stall, () => response.destroy());
  };

  const sendWhole = (reply: FastifyReply, text: string): void => {
    reply.hijack();
    cutIfStalled(reply.raw);
    answers.send(reply.raw, text);
  };

  /** Goes on with texts of which these were taken. */
  const write = async (
    reply: FastifyReply,
    texts: AsyncGenerator<string>,
    taken: string,
  ): Promise<void> => {
    const { raw } = reply;
    try {
      const begin = await take(texts, taken, false);
      if (begin.isWhole) return sendWhole(reply, begin.text);
      reply.hijack();
      cutIfStalled(raw);
      const closing = isDraining() ? { connection: "close" } : {};
      raw.writeHead(200, { "content-type": JSON_TYPE, ...closing });
      if (!raw.write(begin.text)) await drained(raw);
      for await (const text of texts) {
        if (raw.req.socket.destroyed) return;
        if (!raw.write(text)) await drained(raw);
      }
      raw.end();
    } catch (error) {
      if (reply.sent) raw.destroy();
      throw error;
    } finally {
      await texts.return(undefined);
    }
  };

  return {
    /**
     * Answers 200 with the texts one after the other, for the caller `who`. Rejects with what goes
     * wrong before WHOLE characters of them, which is the caller's answer then; after that the
     * connection is cut, for there is no other way to say that the answer is not whole. An empty
     * text says that the answer is a long one.
     */
    async send(reply: FastifyReply, who: string, texts: AsyncGenerator<string>): Promise<void> {
      const begin = await take(texts, "", true);
      if (begin.isWhole) sendWhole(reply, begin.text);
      else await limited(who, () => write(reply, texts, begin.text));
    },
  };
}

/** The texts up to WHOLE characters, or to an empty one, and whether there are no more. */
async function take(texts: AsyncGenerator<string>, taken: string, toEmpty: boolean) {
  let text = taken;
  while (text.length <= WHOLE) {
    const next = await texts.next();
    if (next.done) return { text, isWhole: true };
    if (toEmpty && next.value === "") break;
    text += next.value;
  }
  return { text, isWhole: false };
}

/** Settles when more can be written, or the connection is gone: a response to a request that was
 * sent before the one before it was answered is not told of that. */
function drained(response: ServerResponse): Promise<void> {
  const { socket } = response.req;
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    response.on("drain", done);
    socket.on("close", done);
    if (socket.destroyed) done();
  });
}
