// A bare gRPC echo: decodes the same request and encodes the same response on
// grpc-js at its defaults, by the same protobuf runtime; no store, no hashing. So
// it is the ceiling of what Latchkey can reach on grpc-js. The session's reads are
// counted, so that the benchmark can check it.
import { create } from "@bufbuild/protobuf";
import { type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import {
  type CreateSessionRequest,
  type CreateSessionResponse,
  CreateSessionResponseSchema,
  type GetSessionRequest,
  type GetSessionResponse,
  GetSessionResponseSchema,
  SessionService,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { createSampleSession } from "../../data/sample-session.js";
import { methodOf } from "../../load/method.js";
import { announce } from "./announce.js";

const session = createSampleSession();
const getResponse = create(GetSessionResponseSchema, { session });

const createSession: handleUnaryCall<CreateSessionRequest, CreateSessionResponse> = (
  { request: { app, userId, ip, data } },
  callback,
) => {
  Object.assign(session, { app, userId, ip, data });
  callback(null, create(CreateSessionResponseSchema, { token: "A".repeat(64), session }));
};

const getSession: handleUnaryCall<GetSessionRequest, GetSessionResponse> = (
  { request },
  callback,
) => {
  if (!request.peek) session.reads += 1n;
  callback(null, getResponse);
};

const server = new Server();
server.addService(
  {
    createSession: methodOf(SessionService.method.createSession),
    getSession: methodOf(SessionService.method.getSession),
  },
  { createSession, getSession },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  announce("grpc", { address: "127.0.0.1", port, family: "IPv4" });
});
