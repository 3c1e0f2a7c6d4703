import type { PublicPart } from "../../net/listener.js";

/** Where probes ask. They change nothing, and tell nothing of sessions. */
export const HEALTH_PATHS: ReadonlySet<string> = new Set(["/livez", "/readyz"]);

/** The paths below, by the part that opens them to everybody. */
export const OPERATIONS: ReadonlyMap<string, PublicPart> = new Map([
  ["/livez", "health"],
  ["/readyz", "health"],
  ["/metrics", "metrics"],
  ["/openapi.json", "reflection"],
]);
