import type { ServerHttp2Stream } from "node:http2";
import type { PublicPart } from "../net/listener.js";

/** Bytes of a message to a service that is open to everybody. */
export const PUBLIC_MESSAGE = 4 * 1024;
/** Calls of one connection to such services that may be under way. */
export const PUBLIC_CALLS = 100;

/** How the paths of all versions of server reflection begin. Its requests are streams. */
export const REFLECTION = "/grpc.reflection.v1";

/** The services that may be open to everybody, by how their paths begin. */
const PARTS: readonly (readonly [start: string, part: PublicPart])[] = [
  ["/grpc.health.v1.Health/", "health"],
  [REFLECTION, "reflection"],
];

/** The part that a call belongs to; undefined if it needs credentials whatever is public. */
export function publicPartOf(path: string): PublicPart | undefined {
  return PARTS.find(([start]) => path.startsWith(start))?.[1];
}

/** Counts the calls to such services that are under way, by their connections. */
export function createPublicCalls() {
  const open = new WeakMap<object, number>();
  return {
    /** Counts a call until its stream is closed; false if its connection may have no more. */
    add(stream: ServerHttp2Stream): boolean {
      const { session } = stream;
      if (!session) return false;
      const count = open.get(session) ?? 0;
      if (count === PUBLIC_CALLS) return false;
      open.set(session, count + 1);
      stream.once("close", () => open.set(session, (open.get(session) ?? 1) - 1));
      return true;
    },
  };
}
