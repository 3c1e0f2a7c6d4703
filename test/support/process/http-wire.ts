import { Agent, request as httpRequest } from "node:http";
import type { JsonObject } from "@bufbuild/protobuf";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { APP, IP, map, type Outcome, type Wire } from "./wire.js";

/** Connect's, for what the rest-sessions endpoints do not have. */
const ROTATE = `/${SessionService.typeName}/${SessionService.method.rotateToken.name}`;

/** The rest-sessions endpoints, on at most so many connections that stay open. */
export function openHttp(address: string, connections = 1): Wire {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const [host, port] = address.split(":");

  const call = (method: string, path: string, body?: JsonObject) =>
    new Promise<Outcome<JsonObject>>((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException) => {
        const isBroken = /^(ECONNRESET|ECONNREFUSED|EPIPE)$/.test(error.code ?? "");
        if (isBroken) resolve("unanswered");
        else reject(error);
      };
      const headers = body ? { "content-type": "application/json" } : {};
      const sent = httpRequest({ agent, host, port, method, path, headers });
      sent.on("error", fail);
      sent.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("error", fail);
        response.on("end", () => {
          if (response.statusCode === 200) resolve({ done: JSON.parse(text) });
          else if (response.statusCode === 503) resolve("unanswered");
          else if (response.statusCode === 404) resolve("absent");
          else reject(new Error(`${method} answered ${response.statusCode} ${text}`));
        });
      });
      sent.end(body && JSON.stringify(body));
    });

  const dataOf = (outcome: Outcome<JsonObject>): Outcome<JsonObject> => {
    if (typeof outcome === "string") return outcome;
    // These endpoints answer `{}` for a session that is not there.
    return "id" in outcome.done ? { done: (outcome.done["d"] ?? {}) as JsonObject } : "absent";
  };

  return {
    async create(user, data) {
      const outcome = await call(
        "PUT",
        `/${APP}/create/${encodeURIComponent(user)}?ip=${IP}`,
        data,
      );
      return map(outcome, ({ token }) => ({ token: String(token) }));
    },
    update: async (token, data) => dataOf(await call("POST", `/${APP}/set/${token}`, data)),
    read: async (token) => dataOf(await call("GET", `/${APP}/get/${token}`)),
    async delete(token) {
      const outcome = await call("DELETE", `/${APP}/kill/${token}`);
      return typeof outcome === "object" && outcome.done["kill"] === 0 ? "absent" : outcome;
    },
    async rotate(token) {
      const outcome = await call("POST", ROTATE, { app: APP, token, grace: "300s" });
      return map(outcome, (answer) => ({ token: String(answer["token"]) }));
    },
    deleteUser: (user) => call("DELETE", `/${APP}/killsoid/${encodeURIComponent(user)}`),
    close: () => agent.destroy(),
  };
}
