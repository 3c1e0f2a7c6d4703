import { createCipheriv, createDecipheriv } from "node:crypto";
import { invalid } from "../../domain/error.js";
import type { RandomBytes } from "../../lib/random.js";

/** Which listing a page token belongs to, and whose it is. */
export interface Listing {
  readonly app: string;
  /** Empty in a listing of the whole app. */
  readonly userId: string;
  /** Seconds, as asked for; 0 if the listing is not bounded so. */
  readonly activeWithin: number;
  /** The account that asks; empty where authentication is off. */
  readonly account: string;
}

/** What a listing must remember from page to page. */
export interface PageState {
  /** The instant (ms) fixed by the first page; 0 if the listing is not bounded so. */
  readonly activeSince: number;
  /** Where the next page begins. */
  readonly before: number;
}

export type PageTokens = ReturnType<typeof createPageTokens>;

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const STATE_BYTES = 16;
const TAG_BYTES = 16;
/** Characters of base64url without padding. */
const TOKEN_LENGTH = Math.ceil(((NONCE_BYTES + STATE_BYTES + TAG_BYTES) * 4) / 3);

/**
 * Makes page tokens and reads them. They are sealed, and all of one length: a position counts the
 * sessions of all apps, which are no business of the caller of one. They are good as long as this
 * object, whose key nobody else has.
 */
export function createPageTokens(randomBytes: RandomBytes) {
  const key = Buffer.from(randomBytes(32));

  /** What is not in the token and must be the same at the next page. */
  const boundTo = ({ app, userId, activeWithin, account }: Listing) =>
    Buffer.from(JSON.stringify([app, userId, activeWithin, account]));

  return {
    encode(listing: Listing, { activeSince, before }: PageState): string {
      const nonce = Buffer.from(randomBytes(NONCE_BYTES));
      const state = Buffer.alloc(STATE_BYTES);
      state.writeDoubleBE(activeSince, 0);
      state.writeDoubleBE(before, 8);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(boundTo(listing));
      const sealed = [nonce, cipher.update(state), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat(sealed).toString("base64url");
    },

    /** The state in `token`. Throws `invalid` if it was not made here for this listing. */
    decode(token: string, listing: Listing): PageState {
      const bytes = Buffer.from(token.length === TOKEN_LENGTH ? token : "", "base64url");
      // The decoder passes over what is no base64url.
      if (bytes.toString("base64url") !== token) throw refused();
      try {
        const nonce = bytes.subarray(0, NONCE_BYTES);
        const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
          .setAAD(boundTo(listing))
          .setAuthTag(bytes.subarray(-TAG_BYTES));
        const state = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        decipher.final();
        return { activeSince: state.readDoubleBE(0), before: state.readDoubleBE(8) };
      } catch {
        throw refused();
      }
    },
  };
}

function refused() {
  return invalid(
    "page_token",
    "format",
    "page_token must be the next_page_token of the page before, with the other fields unchanged: if the server was restarted since, begin with the first page",
  );
}
