// Many connections of callers without credentials, each of which does one of the moves, over and
// over. A process of its own: `strangers.ts CONNECTIONS SECONDS HTTP GRPC COMMAND`. Ends by itself, and
// writes what it did as JSON.
import { connect } from "node:net";
import { MOVES, type Move } from "./stranger-moves.js";

/** Milliseconds between two moves of a connection, at most. */
const PAUSE = 1_000;

const [, , connections = "0", seconds = "0", http = "", grpc = "", command = ""] = process.argv;
const addresses = { http, grpc, command };
const end = performance.now() + Number(seconds) * 1_000;
const counts = { begun: 0, answered: 0, refused: 0 };
let open = 0;
let mostOpen = 0;

/** Makes one move; calls `done` when it is over. */
function make({ to, bytes, hold }: Move, done: () => void): void {
  const [host = "", port] = addresses[to].split(":");
  counts.begun++;
  const socket = connect({ host, port: Number(port) }, () => {
    mostOpen = Math.max(mostOpen, ++open);
    socket.once("close", () => open--);
    socket.write(bytes);
  });
  let isAnswered = false;
  const timer = setTimeout(() => socket.destroy(), hold || 5_000);
  socket.on("data", () => {
    isAnswered = true;
    if (hold === 0) socket.destroy();
  });
  socket.on("error", () => {});
  socket.once("close", () => {
    counts[isAnswered ? "answered" : "refused"]++;
    clearTimeout(timer);
    done();
  });
}

function goOn(n: number): void {
  const left = end - performance.now();
  if (left <= 0) return;
  const move = MOVES[Math.floor(Math.random() * MOVES.length)];
  if (move) make(move, () => setTimeout(goOn, Math.random() * PAUSE, n));
}

for (let n = 0; n < Number(connections); n++) setTimeout(goOn, Math.random() * PAUSE, n);
setTimeout(() => {
  process.stdout.write(`${JSON.stringify({ ...counts, mostOpen })}\n`, () => process.exit());
}, Number(seconds) * 1_000);
