// A thread of `openPrefetch`: reads rows, so that the system has them in memory.
import { parentPort, workerData } from "node:worker_threads";
import { openConnection } from "./connection.js";
import type { ThreadData } from "./database-thread.js";
import type { Asked } from "./prefetch.js";
import { createRows } from "./rows.js";

const port = parentPort;
if (!port) throw new Error("this is the entry of a thread");

const { path } = workerData as ThreadData;
const db = openConnection(path);
db.pragma("query_only = ON");
// Little: what is read here is kept elsewhere.
db.pragma("cache_size = -4096");
const rows = createRows(db);

port.on("message", (asked: Asked | "end") => {
  if (asked === "end") {
    db.close();
    port.close();
    return;
  }
  const { appId, tokenHash } = asked;
  try {
    if (!rows.byToken("", appId, tokenHash)) rows.byRotatedToken("", appId, tokenHash);
  } catch {
    // Whoever reads it next is told.
  }
  port.postMessage(null);
});

// It is ready.
port.postMessage(null);
