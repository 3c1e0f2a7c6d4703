import { isUtf8 } from "node:buffer";
import type { FastifyInstance } from "fastify";
import { LatchkeyError } from "../../../domain/error.js";

/** Bodies as Express's parser took them: JSON by its content type, any other ignored. */
export function addBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    (_request, body: Buffer, done) => {
      try {
        done(null, parseJson(body));
      } catch (error) {
        done(error as Error);
      }
    },
  );
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, _body, done) =>
    done(null, undefined),
  );
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new LatchkeyError("invalid", "the body must be JSON in UTF-8");
  try {
    return JSON.parse(body.toString());
  } catch {
    // The parser's own message quotes the body.
    throw new LatchkeyError("invalid", "the body must be JSON");
  }
}
