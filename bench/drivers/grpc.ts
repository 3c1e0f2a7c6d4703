import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  GetSessionRequestSchema,
  SessionService,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { runH2load } from "../load/generators.js";
import { call, framed, withClient } from "../load/grpc-client.js";
import { methodOf } from "../load/method.js";
import { runSteadyMessage } from "../load/steady-load.js";
import { APP, DATA, type Driver, type DriverOptions, IP, prepareTokens } from "./driver.js";

const { createSession, getSession } = SessionService.method;
const GET_PATH = methodOf(getSession).path;

/**
 * Drives GetSession with h2load, which posts one and the same body: all calls
 * read one of the prepared sessions.
 */
export async function openGrpcGetDriver(options: DriverOptions): Promise<Driver> {
  const { server, dir, sessions } = options;
  const { grpc, headers = {} } = server;
  if (grpc === undefined) throw new Error("the server has no gRPC address");

  const [token = ""] = await withClient(grpc, (client) =>
    prepareTokens(sessions, async (userId) => {
      const request = { app: APP, userId, ip: IP, data: DATA };
      return (await call(client, createSession, request, headers)).token;
    }),
  );
  const message = create(GetSessionRequestSchema, { app: APP, token });
  const body = join(dir, "request.bin");
  const request = framed(toBinary(GetSessionRequestSchema, message));
  await writeFile(body, request);

  return {
    transport: "grpc",
    method: GET_PATH.slice(1),
    async carriedOut() {
      const request = { app: APP, token, peek: true };
      const { session } = await withClient(grpc, (client) =>
        call(client, getSession, request, headers),
      );
      return Number(session?.reads);
    },
    run: (load) => runH2load(load, body, `http://${grpc}${GET_PATH}`, headers),
    runSteady: (load, rate) => runSteadyMessage(load, grpc, GET_PATH, request, headers, rate),
  };
}
