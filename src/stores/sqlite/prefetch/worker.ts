// A thread of `openPrefetch`: reads rows of sessions.
import { parentPort, workerData } from "node:worker_threads";
import { openConnection } from "../file/connection.js";
import { createRotatedTokenReads } from "../tables/rotated-tokens.js";
import { createSessionReads } from "../tables/sessions.js";
import type { ThreadData } from "../threads/database-thread.js";
import type { Asked, Fetched } from "./client.js";
import { fillTokenFilter } from "./filter-fill.js";
import { createTokenFilter, type FilterMemory } from "./token-filter.js";

const port = parentPort;
if (!port) throw new Error("this is the entry of a thread");

const { path } = workerData as ThreadData;
const db = openConnection(path);
db.pragma("query_only = ON");
// Little: what is read here is kept elsewhere.
db.pragma("cache_size = -4096");
const sessions = createSessionReads(db);
const { byRotatedToken } = createRotatedTokenReads(db, sessions);

/** Null if there is none, or if it is not known. */
const read = ({ app, appId, tokenHash }: Asked): Fetched => {
  try {
    const stored = sessions.byToken(app, appId, tokenHash);
    // Not sent, but the system has it in memory then.
    if (!stored) byRotatedToken(app, appId, tokenHash);
    return stored;
  } catch {
    // Whoever reads it next is told.
    return null;
  }
};

let filling: Generator<void> | undefined;

/** Reads of rows come between two batches. */
const fill = () => {
  try {
    if (!filling?.next().done) setImmediate(fill);
  } catch {
    // Of a file that cannot be read as a whole, no token is known to be a stranger's.
  }
};

port.on("message", (asked: Asked | FilterMemory | "end") => {
  if (asked instanceof SharedArrayBuffer) {
    filling = fillTokenFilter(db, createTokenFilter(asked));
    fill();
    return;
  }
  if (asked === "end") {
    filling?.return(undefined);
    db.close();
    port.close();
    return;
  }
  port.postMessage(read(asked));
});

// It is ready.
port.postMessage(null);
