import type { Request, Response } from "express";

const HELD = ["write", "end", "flushHeaders"] as const;
type Send = (...args: unknown[]) => unknown;

const holding = new WeakSet<Response>();

/**
 * Holds the response back, when it is about to begin, until the request's session is saved, if
 * `isNew` says that it is one that is to be created. If that fails, the error goes to Express and
 * the response is its error handler's.
 */
export function holdResponse(req: Request, res: Response, isNew: () => boolean): void {
  if (holding.has(res)) return;
  holding.add(res);
  let waiting: (() => void)[] | undefined;
  let hasFailed = false;
  const release = () => {
    const sends = waiting ?? [];
    waiting = undefined;
    for (const send of sends) send();
    res.emit("drain");
  };
  const fail = (error: unknown) => {
    waiting = undefined;
    hasFailed = true;
    // Without a session express-session sets no cookie.
    Reflect.deleteProperty(req, "session");
    req.next?.(error);
  };
  for (const name of HELD) {
    const send = res[name] as Send;
    const held: Send = (...args) => {
      if (!waiting && (hasFailed || res.headersSent || !isNew())) return send.apply(res, args);
      if (!waiting) {
        waiting = [];
        req.session.save((error: unknown) => (error ? fail(error) : release()));
      }
      waiting.push(() => send.apply(res, args));
      return name === "end" ? res : false;
    };
    Object.assign(res, { [name]: held });
  }
}
