import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import { overloaded } from "../../domain/error.js";
import { JSON_TYPE } from "./json-answers.js";

/** Long answers that a caller may have under way, each of which takes memory. */
const AT_ONCE = 4;

/** Such answers of a caller that wait; more are refused. */
const WAITING = 64;

/** Characters up to which an answer is sent as a whole, with its length, as clients are used to. */
const WHOLE = 1_048_576;

/** Milliseconds in which a client that is sent an answer must read something of it. */
const STALL = 30_000;

interface Places {
  taken: number;
  readonly waiting: (() => void)[];
}

/** Answers that are too long to be in memory as a whole, written as fast as they are read. */
export function createJsonStreams() {
  const callers = new Map<string, Places>();

  const enter = async (who: string): Promise<() => void> => {
    const places = callers.get(who) ?? { taken: 0, waiting: [] };
    callers.set(who, places);
    if (places.taken < AT_ONCE) places.taken++;
    else if (places.waiting.length === WAITING) throw overloaded();
    else await new Promise<void>((resolve) => places.waiting.push(resolve));
    return () => {
      const next = places.waiting.shift();
      // Whoever leaves hands the place on.
      if (next) return next();
      if (--places.taken === 0) callers.delete(who);
    };
  };

  return {
    /**
     * Answers 200 with the texts one after the other, for the caller `who`. Rejects with what goes
     * wrong before WHOLE characters of them, which is the caller's answer then; after that the
     * connection is cut, for there is no other way to say that the answer is not whole.
     */
    async send(reply: FastifyReply, who: string, texts: AsyncGenerator<string>): Promise<void> {
      const leave = await enter(who);
      const { raw } = reply;
      try {
        const begin = await take(texts, WHOLE);
        reply.hijack();
        if (begin.isWhole) {
          const length = Buffer.byteLength(begin.text);
          raw.writeHead(200, { "content-type": JSON_TYPE, "content-length": length });
          raw.end(begin.text);
          return;
        }
        raw.setTimeout(STALL, () => raw.destroy());
        raw.writeHead(200, { "content-type": JSON_TYPE });
        if (!raw.write(begin.text)) await drained(raw);
        for (
          let text = await texts.next();
          !text.done && !raw.destroyed;
          text = await texts.next()
        ) {
          if (!raw.write(text.value)) await drained(raw);
        }
        raw.end();
      } catch (error) {
        if (reply.sent) raw.destroy();
        throw error;
      } finally {
        leave();
        await texts.return(undefined);
      }
    },
  };
}

/** The texts up to a length, and whether there are no more. */
async function take(texts: AsyncGenerator<string>, length: number) {
  let text = "";
  while (text.length <= length) {
    const next = await texts.next();
    if (next.done) return { text, isWhole: true };
    text += next.value;
  }
  return { text, isWhole: false };
}

/** Settles when more can be written, or the connection is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done).off("close", done);
      resolve();
    };
    response.on("drain", done).on("close", done);
  });
}
