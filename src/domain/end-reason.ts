export type EndReason = "deleted" | "user" | "app" | "idle" | "absolute" | "evicted" | "theft";
