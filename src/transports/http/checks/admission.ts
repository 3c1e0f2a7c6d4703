import type { IncomingMessage, ServerResponse } from "node:http";
import { overloaded } from "../../../domain/error.js";
import type { Admission } from "../../call/admission.js";
import { createErrorAnswers, isConnect } from "../answers/error-answers.js";
import { HEALTH_PATHS } from "../requests/operation-paths.js";
import { pathOf } from "../requests/request-path.js";

/** What is answered however busy the server is: how it does. */
const ALWAYS: ReadonlySet<string> = new Set([...HEALTH_PATHS, "/ping", "/metrics"]);

/** Whether the request is taken up; one that is not is answered, with its body unread. */
export type Admit = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Refuses requests in the form of the API that each is for. */
export function createAdmit(admission: Admission): Admit {
  const answerOf = createErrorAnswers(overloaded());
  return (request, response) => {
    if (admission.admits()) return true;
    if (ALWAYS.has(pathOf(request.url ?? ""))) return true;
    const { status, headers, body } = answerOf(request);
    admission.refuse(isConnect(request) ? "connect" : "http", () => {
      response.writeHead(status, headers).end(body);
    });
    return false;
  };
}
