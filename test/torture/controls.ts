import { fileURLToPath } from "node:url";

/** Settings of a server that answers a write before it is on disk. */
export const EARLY_ANSWERS = {
  NODE_OPTIONS: `--import ${fileURLToPath(new URL("early-answers.js", import.meta.url))}`,
};
