import type { Request } from "express";
import type { SessionData } from "express-session";

/** The request of a session that express-session made for one; undefined for plain data. */
export function requestOf(data: SessionData): Request | undefined {
  const { req } = data as { req?: Request };
  return typeof req === "object" && req !== null ? req : undefined;
}

/** Who sent the request, as far as Latchkey keeps it. */
export function clientOf(req: Request | undefined): { ip: string; userAgent: string } {
  const ip = req?.ip ?? req?.socket?.remoteAddress ?? "";
  const userAgent = req?.headers?.["user-agent"] ?? "";
  return { ip: ip.slice(0, 39), userAgent: userAgent.replace(/\p{Cc}/gu, " ").slice(0, 512) };
}
