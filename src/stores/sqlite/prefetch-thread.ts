// A thread of `openPrefetch`: reads rows of sessions.
import { parentPort, workerData } from "node:worker_threads";
import { openConnection } from "./connection.js";
import type { ThreadData } from "./database-thread.js";
import type { Asked, Fetched } from "./prefetch.js";
import { createRows } from "./rows.js";

const port = parentPort;
if (!port) throw new Error("this is the entry of a thread");

const { path } = workerData as ThreadData;
const db = openConnection(path);
db.pragma("query_only = ON");
// Little: what is read here is kept elsewhere.
db.pragma("cache_size = -4096");
const rows = createRows(db);

/** Null if there is none, or if it is not known. */
const read = ({ app, appId, tokenHash }: Asked): Fetched => {
  try {
    const stored = rows.byToken(app, appId, tokenHash);
    // Not sent, but the system has it in memory then.
    if (!stored) rows.byRotatedToken(app, appId, tokenHash);
    return stored;
  } catch {
    // Whoever reads it next is told.
    return null;
  }
};

port.on("message", (asked: Asked | "end") => {
  if (asked === "end") {
    db.close();
    port.close();
    return;
  }
  port.postMessage(read(asked));
});

// It is ready.
port.postMessage(null);
