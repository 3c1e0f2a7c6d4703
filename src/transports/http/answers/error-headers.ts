import type { ErrorCode } from "../../../domain/error.js";
import { RETRY_AFTER } from "../../call/error-details.js";

/** What goes with errors that a client may act upon; how a caller may say who it is, RFC 9110, 11.6.1,
 * and RFC 7617. */
export const ERROR_HEADERS: { readonly [code in ErrorCode]?: Readonly<Record<string, string>> } = {
  unauthenticated: {
    "www-authenticate": 'Bearer realm="latchkey", Basic realm="latchkey", charset="UTF-8"',
  },
  overloaded: { "retry-after": `${RETRY_AFTER}` },
};
