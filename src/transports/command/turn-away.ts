import type { Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { ResponseSchema } from "../../../gen/ts/latchkey/command/v1/command_pb.js";
import { encodeFrame } from "./frames.js";

/**
 * Answers a connection that has no place with the reason, and ends it within `linger` ms. What its
 * client sends is thrown away: closing upon it could lose it the answer.
 */
export function turnAway(socket: Socket, clientId: string, reason: string, linger: number): void {
  const response = { clientId, status: "Error", result: Buffer.from(reason) };
  socket.on("error", () => {});
  socket.resume();
  socket.end(encodeFrame(toBinary(ResponseSchema, create(ResponseSchema, response))));
  const deadline = setTimeout(() => socket.destroy(), linger);
  socket.once("close", () => clearTimeout(deadline));
}
