import type { IncomingMessage, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import { cors } from "@connectrpc/connect";
import { LatchkeyError } from "../../../domain/error.js";
import type { LineLog } from "../../../lib/line-log.js";
import { STATUS } from "../../call/status.js";
import { errorAnswer } from "../answers/error-bodies.js";
import { JSON_TYPE } from "../answers/json-answers.js";
import { HEALTH_PATHS } from "../requests/operation-paths.js";
import { pathOf } from "../requests/request-path.js";
import { createHostRule, type HostRuleOptions } from "./host-rule.js";

export interface OriginGuardOptions extends HostRuleOptions {
  /** Origins whose pages may call, as browsers send them: `https://app.example`. */
  readonly origins: readonly string[];
  /** Where a request comes from, for the log. */
  readonly addressOf: (request: IncomingMessage) => string | null;
  /** Gets a line for each request that is refused. */
  readonly logger: Pick<LineLog, "warn">;
}

/** Answers whether a request may go on; if not, it has been answered. */
export type OriginGuard = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Of every answer to a browser: what it may not guess, keep, or put into a page of another
 * origin. Programs get none of them; they cost a tenth of a read (`npm run bench -- http-get`). */
const HEADERS = {
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
};

const PREFLIGHT = {
  "access-control-allow-methods": "GET, POST, PUT, DELETE",
  "access-control-allow-headers": ["authorization", ...cors.allowedHeaders]
    .join(", ")
    .toLowerCase(),
  "access-control-max-age": "7200", // The most that Chromium heeds.
};
const EXPOSED = cors.exposedHeaders.join(", ").toLowerCase();

/**
 * Keeps web pages of other origins off the listener, for a browser on the
 * server's machine or network reaches what the page's author does not.
 *
 * - Host: a name that is not ours may be one that an attacker's DNS has turned to
 *   our address, which makes his page and us one origin. An address cannot be turned.
 * - Origin, and Sec-Fetch-Site for what has no Origin (images, links, frames):
 *   who caused the request. Programs send neither and pass.
 *
 * CORS is decided here and not by a plugin, so that what a page may send and what it
 * may read follow from one rule.
 */
export function createOriginGuard(options: OriginGuardOptions): OriginGuard {
  const { origins, addressOf, logger } = options;
  const isOurs = createHostRule(options);
  const knownOrigins = new Set(origins);
  const everywhere = knownOrigins.size > 0 ? { ...HEADERS, vary: "origin" } : HEADERS;
  /** The last that was found to be ours: nearly always the next one, too. */
  let lastHost: string | undefined;

  const refuse = (request: IncomingMessage, response: ServerResponse, reason: Refusal): false => {
    const { host, origin } = request.headers;
    const address = addressOf(request);
    const [shownHost, shownOrigin] = [host, origin].map((text) => text?.slice(0, SHOWN));
    logger.warn({ address, reason, host: shownHost, origin: shownOrigin }, "request refused");
    const answer = errorAnswer(new LatchkeyError("forbidden", REFUSALS[reason]));
    response
      .writeHead(STATUS.forbidden.http, { "content-type": JSON_TYPE })
      .end(JSON.stringify(answer));
    return false;
  };

  return (request, response) => {
    const { host, origin, "sec-fetch-site": site, "user-agent": agent } = request.headers;
    const isProgram = origin === undefined && site === undefined;
    // Every browser says that it is Mozilla; of an image or a link over plain HTTP it says no more.
    if (!isProgram || agent?.startsWith("Mozilla/")) addHeaders(response, everywhere);
    // Node lets only HTTP/1.0 be without Host, which no browser speaks.
    if (host !== undefined && host !== lastHost) {
      if (!isOurs(host)) return refuse(request, response, "host");
      lastHost = host;
    }
    if (isProgram) return true;

    if (origin !== undefined && knownOrigins.has(origin)) {
      response.setHeader("access-control-allow-origin", origin);
      if (!isPreflight(request)) {
        response.setHeader("access-control-expose-headers", EXPOSED);
        return true;
      }
      addHeaders(response, PREFLIGHT);
      if (request.headers["access-control-request-private-network"] === "true") {
        response.setHeader("access-control-allow-private-network", "true");
      }
      response.writeHead(204).end();
      return false;
    }
    // `none` is what the user does himself, such as typing an address.
    const isOwnSite = site === undefined || site === "same-origin" || site === "none";
    const isOwnPage = isOwnSite && (origin === undefined || isOwnOrigin(origin, request));
    if (isOwnPage || isHealth(request)) return true;
    return refuse(request, response, "origin");
  };
}

/**
 * What is said of each refusal. Both are 403: 421, though made for a wrong host, invites
 * the client to try again over another connection, which would end the same.
 */
const REFUSALS = {
  host: "this host name is not one of the server's: if it should be, list it in LATCHKEY_HTTP_HOSTS",
  origin:
    "a page of another origin caused this request: if it may, list its origin in LATCHKEY_HTTP_ORIGINS",
};
type Refusal = keyof typeof REFUSALS;

/** Characters of what a client sent that the log shows. */
const SHOWN = 100;

function addHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) response.setHeader(name, headers[name] ?? "");
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === "OPTIONS" && headers["access-control-request-method"] !== undefined;
}

/** Whether it is a probe's question. */
function isHealth({ method, url = "" }: IncomingMessage): boolean {
  return method === "GET" && HEALTH_PATHS.has(pathOf(url));
}

/**
 * Whether it is the origin of what this listener serves, by the host and port that
 * the request was sent to. A proxy may have taken TLS off; nothing puts it on.
 */
function isOwnOrigin(origin: string, { headers, socket }: IncomingMessage): boolean {
  const isPlain = !(socket instanceof TLSSocket);
  return origin === `https://${headers.host}` || (isPlain && origin === `http://${headers.host}`);
}
