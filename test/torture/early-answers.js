// Loaded before a server, makes it answer writes before they are on disk: the control that a
// test of durability must fail. Its thread gets each batch late, and the server believes at
// once that it was carried out.
import { Worker } from "node:worker_threads";

/** Milliseconds that a write is answered too early by. */
const DELAY = 20;

const { postMessage } = Worker.prototype;

Worker.prototype.postMessage = function (message) {
  setTimeout(() => postMessage.call(this, message), DELAY);
  if (message === "end") return;
  setImmediate(() => {
    this.emit("message", { batches: 1, calls: 1, seconds: 0, failure: null });
  });
};
