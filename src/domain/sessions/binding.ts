import { networkOf } from "../../lib/network.js";
import type { AppPolicy, Binding } from "./app-policy.js";
import type { Session } from "./session.js";

/** What a read knows of who reads; empty: unknown. */
export interface Seen {
  readonly ip: string;
  readonly userAgent: string;
}

/** In what a read differs from the session that it reads. */
export interface Mismatch {
  readonly field: "ip" | "user_agent";
  readonly binding: Exclude<Binding, "off">;
  /** What the session was created with. */
  readonly bound: string;
  readonly seen: string;
}

/**
 * In what a read differs that the policy binds sessions to. IPv6 addresses are
 * compared by their network, for a device may change its address within it.
 */
export function findMismatches(policy: AppPolicy, session: Session, seen: Seen): Mismatch[] {
  const found: Mismatch[] = [];
  const { bindIp, bindUserAgent } = policy;
  if (bindIp !== "off" && session.ip !== "" && seen.ip !== "") {
    const differs = networkOf(session.ip) !== networkOf(seen.ip);
    if (differs) found.push({ field: "ip", binding: bindIp, bound: session.ip, seen: seen.ip });
  }
  if (bindUserAgent !== "off" && session.userAgent !== "" && seen.userAgent !== "") {
    const [bound, other] = [session.userAgent, seen.userAgent];
    if (bound !== other) {
      found.push({ field: "user_agent", binding: bindUserAgent, bound, seen: other });
    }
  }
  return found;
}
