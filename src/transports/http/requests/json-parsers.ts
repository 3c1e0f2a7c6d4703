import { isUtf8 } from "node:buffer";
import type { FastifyInstance } from "fastify";
import { LatchkeyError } from "../../../domain/error.js";
import { checkJsonValues } from "../../rpc/message-values.js";
import type { RequestBodies } from "./request-bodies.js";

/**
 * Bodies of at most `limit` bytes as Express's parser took them: JSON by its content type, any other
 * ignored.
 */
export function addBodyParsers(
  app: FastifyInstance,
  bodies: Pick<RequestBodies, "read">,
  limit: number,
): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", (request, payload, done) =>
    bodies.read(request, payload, limit, (refusal, body) => {
      if (!body) {
        done(refusal);
        return;
      }
      let parsed: unknown;
      try {
        parsed = parseJson(body);
      } catch (error) {
        done(error as Error);
        return;
      }
      done(null, parsed);
    }),
  );
  app.addContentTypeParser("*", (request, payload, done) =>
    bodies.read(request, payload, limit, (refusal) => done(refusal, undefined)),
  );
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new LatchkeyError("invalid", "the body must be JSON in UTF-8");
  checkJsonValues(body);
  try {
    return JSON.parse(body.toString());
  } catch {
    // The parser's own message quotes the body.
    throw new LatchkeyError("invalid", "the body must be JSON");
  }
}
