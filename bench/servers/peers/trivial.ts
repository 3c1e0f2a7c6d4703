// Answers every HTTP request with the same few bytes, looking only for its end: what the load
// generator reaches on it, the generator itself is good for.
import { createServer } from "node:net";
import { announce } from "./announce.js";

const BODY = JSON.stringify({ answer: "x".repeat(150) });
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
);

const server = createServer({ noDelay: true }, (socket) => {
  // A request of the generator has no body, and comes in one piece.
  socket.on("data", (bytes) => {
    if (bytes.subarray(-4).equals(END)) socket.write(ANSWER);
  });
  socket.on("error", () => {});
});
const END = Buffer.from("\r\n\r\n");
server.listen(0, "127.0.0.1", () => announce("http", server.address()));
