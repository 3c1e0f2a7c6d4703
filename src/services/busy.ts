import { LatchkeyError } from "../domain/error.js";

/** What work is refused with that finds no place to wait. */
export function busy(): LatchkeyError {
  return new LatchkeyError("limit", "the server is busy: try again in a few seconds");
}
