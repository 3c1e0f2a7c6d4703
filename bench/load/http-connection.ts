import { createConnection } from "node:net";

/** An answer, as far as a trial looks at it. */
export interface Answer {
  readonly status: number;
  readonly bodyBytes: number;
  readonly hasRetryAfter: boolean;
}

export interface HttpConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** Called when a call may be sent: at first, and after each answer. */
  readonly onFree: () => void;
  readonly onAnswer: (answer: Answer) => void;
  /** Called once, when no call can be sent any more; a call that was sent is lost. */
  readonly onClosed: (reason: string) => void;
}

export type HttpConnection = ReturnType<typeof openHttpConnection>;

const READ_BYTES = 16_384;
const HEAD_END = "\r\n\r\n";

/**
 * A connection for HTTP/1.1 with one call at a time. It reads what it must of an answer and
 * nothing else: a client of general use would cost more than the server that is measured.
 */
export function openHttpConnection(options: HttpConnectionOptions) {
  const { host, port, onFree, onAnswer, onClosed } = options;
  let received = "";
  let reason = "";

  const close = (why: string) => {
    reason ||= why;
    socket.destroy();
  };

  const receive = (bytes: number, buffer: Uint8Array): boolean => {
    // One character a byte, so that lengths agree.
    received += Buffer.from(buffer.buffer, buffer.byteOffset, bytes).toString("latin1");
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd === -1) return true;
    const head = received.slice(0, headEnd);
    const bodyBytes = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1]);
    if (Number.isNaN(bodyBytes)) {
      close(`an answer of no stated length: ${head.slice(0, 40)}`);
      return true;
    }
    const end = headEnd + HEAD_END.length + bodyBytes;
    if (received.length < end) return true;
    if (received.length > end) {
      close("more than one answer to a call");
      return true;
    }
    received = "";
    const status = Number(head.slice(9, 12));
    onAnswer({ status, bodyBytes, hasRetryAfter: status >= 400 && /\r\nretry-after:/i.test(head) });
    if (/\r\nconnection: *close/i.test(head)) close("the server's wish");
    else onFree();
    return true;
  };

  const socket = createConnection({
    host,
    port,
    noDelay: true,
    onread: { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback: receive },
  });
  socket.once("connect", onFree);
  socket.on("error", ({ message }) => {
    reason ||= message;
  });
  socket.once("close", () => onClosed(reason || "closed by the server"));

  return {
    send: (request: string): void => void socket.write(request, "latin1"),
    close,
  };
}
