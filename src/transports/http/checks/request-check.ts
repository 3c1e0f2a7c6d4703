import type { IncomingMessage, ServerResponse } from "node:http";
import { LatchkeyError } from "../../../domain/error.js";
import { errorAnswer, rkeErrorAnswer } from "../answers/error-bodies.js";
import { JSON_TYPE } from "../answers/json-answers.js";

/** Headers that name one thing. Of two, each program on the way could believe another. */
const SINGLE = ["host", "authorization"] as const;

/** How an absolute URI begins that is in the place of a path: RFC 9112, 3.2.2. */
const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;

/**
 * Refuses what is ambiguous: programs before and behind this one could read two hosts, two
 * credentials or two values of a parameter each in its way. Answers whether the request may go on;
 * if not, it has been answered. An absolute URI is made the Host header and the path that stand
 * for the same.
 */
export function checkRequest(request: IncomingMessage, response: ServerResponse): boolean {
  const { rawHeaders, url = "" } = request;
  for (const single of SINGLE) {
    let count = 0;
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const name = rawHeaders[index];
      if (name?.length === single.length && name.toLowerCase() === single) count++;
    }
    if (count > 1) return refuse(request, response, `the header ${single} must be given once`);
  }
  if (!url.startsWith("/") && url !== "*") {
    const [start = "", authority] = ABSOLUTE.exec(url) ?? [];
    if (!authority) return refuse(request, response, "the request must name a path");
    // The host of the URI goes before the header's.
    request.headers.host = authority;
    const path = url.slice(start.length);
    request.url = path.startsWith("/") ? path : `/${path}`;
  }
  const repeated = repeatedParameter(request.url ?? "");
  if (repeated === undefined) return true;
  return refuse(request, response, `${repeated} must be given once`);
}

/** The name of the first query parameter that is given more than once. */
function repeatedParameter(url: string): string | undefined {
  const start = url.indexOf("?");
  if (start === -1 || !url.includes("&", start)) return undefined;
  const seen = new Set<string>();
  for (const name of new URLSearchParams(url.slice(start + 1)).keys()) {
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

/** Answers 400 in the form of the API that the request is for. */
function refuse({ url = "" }: IncomingMessage, response: ServerResponse, message: string): false {
  const error = new LatchkeyError("invalid", message);
  const answer = url.startsWith("/api/rke/")
    ? rkeErrorAnswer(error, 400)
    : url.startsWith("/latchkey.")
      ? { code: "invalid_argument", message }
      : errorAnswer(error);
  response.writeHead(400, { "content-type": JSON_TYPE }).end(JSON.stringify(answer));
  return false;
}
