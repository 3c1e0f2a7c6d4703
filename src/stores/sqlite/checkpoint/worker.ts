// The thread of `openCheckpointer`: copies the log into the database, and syncs that.
import { fdatasyncSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { openConnection } from "../file/connection.js";
import { isSyncFailure } from "../file/failure.js";
import { type Failure, toFailure, unsyncedBy } from "../threads/failure.js";
import { type CheckpointThreadData, READY } from "./client.js";

const port = parentPort;
if (!port) throw new Error("this is the entry of a thread");

const { path, file } = workerData as CheckpointThreadData;
const db = openConnection(path);
const checkpoint = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");

/** Null unless what was copied may not be on disk. */
const copy = (): Failure | null => {
  try {
    checkpoint.get();
  } catch (error) {
    // The log has what could not be copied.
    return isSyncFailure(error) ? toFailure(error) : null;
  }
  try {
    fdatasyncSync(file);
    return null;
  } catch (error) {
    return unsyncedBy(error);
  }
};

port.on("message", (asked: "copy" | "end") => {
  if (asked === "end") {
    db.close();
    port.close();
    return;
  }
  port.postMessage(copy());
});

port.postMessage(READY);
