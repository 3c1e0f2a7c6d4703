import { request } from "node:http";

/** Sends JSON, or no body, however long the answer takes; resolves with the body of a 200. */
export function callJson(
  method: string,
  to: string,
  json: object | null,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = json ? { "content-type": "application/json" } : {};
    const sent = request(to, { method, signal, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${method} answered ${response.statusCode}: ${text}`));
      });
    });
    sent.on("error", reject);
    sent.end(json ? JSON.stringify(json) : undefined);
  });
}
