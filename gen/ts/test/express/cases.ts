import type { Case } from "./case.js";
import { CONTENT_CASES } from "./cases-content.js";
import { COOKIE_CASES } from "./cases-cookie.js";
import { LIFE_CASES } from "./cases-life.js";
import { REDIRECT_CASES } from "./cases-redirect.js";
import { RESPONSE_CASES } from "./cases-response.js";
import { SOCKET_CASES } from "./cases-sockets.js";
import { STORE_CASES } from "./cases-store.js";
import { USER_CASES } from "./cases-users.js";

/** All that is expected of express-session with any store. */
export const CASES: readonly Case[] = [
  ...CONTENT_CASES,
  ...LIFE_CASES,
  ...COOKIE_CASES,
  ...RESPONSE_CASES,
  ...REDIRECT_CASES,
  ...STORE_CASES,
  ...USER_CASES,
  ...SOCKET_CASES,
];
