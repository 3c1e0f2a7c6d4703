import { connect } from "node:http2";
import type { Answer, HttpConnectionOptions } from "./http-connection.js";

/** A unary call, the same each time. */
export interface Message {
  readonly path: string;
  /** The framed request in Base64. */
  readonly body: string;
}

/** What the statuses of gRPC are to a trial; those not named are failures. */
const HTTP_STATUS: Readonly<Record<string, number>> = { 0: 200, 8: 429, 14: 503 };

/** As `openHttpConnection`, a connection with one call at a time, but of gRPC. */
export function openGrpcConnection(options: HttpConnectionOptions) {
  const { host, port, onFree, onAnswer, onClosed } = options;
  let reason = "";
  const session = connect(`http://${host}:${port}`);
  session.once("connect", onFree);
  session.on("error", ({ message }) => {
    reason ||= message;
  });
  session.once("goaway", () => {
    reason ||= "the server's wish";
  });
  session.once("close", () => onClosed(reason || "closed by the server"));

  return {
    send({ path, body }: Message, headers: Readonly<Record<string, string>>): void {
      const stream = session.request({
        ...{ ":method": "POST", ":path": path, te: "trailers", ...headers },
        "content-type": "application/grpc",
      });
      let bodyBytes = 0;
      let answer: Answer | undefined;
      const note = (status: unknown) => {
        if (typeof status !== "string") return;
        const known = HTTP_STATUS[status] ?? 500;
        answer = { status: known, bodyBytes, hasRetryAfter: false };
      };
      // A call that is refused may have its status in the headers, and no more.
      stream.on("response", (response) => note(response["grpc-status"]));
      stream.on("data", (bytes: Buffer) => {
        bodyBytes += bytes.length;
      });
      stream.on("trailers", (trailers) => note(trailers["grpc-status"]));
      stream.on("error", ({ message }) => {
        reason ||= message;
      });
      stream.once("close", () => {
        if (!answer) {
          reason ||= "a stream without a status";
          session.destroy();
        } else {
          onAnswer(answer);
          if (!session.closed && !session.destroyed) onFree();
        }
      });
      stream.end(Buffer.from(body, "base64"));
    },

    close(why: string): void {
      reason ||= why;
      session.destroy();
    },
  };
}
