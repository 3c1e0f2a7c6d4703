/**
 * Why a session ended: it was deleted by itself, with its user's or with its app's; its idle or
 * absolute time was over; it made room for another of its user; or a rotated token was used again.
 */
export type EndReason = "deleted" | "user" | "app" | "idle" | "absolute" | "evicted" | "theft";
