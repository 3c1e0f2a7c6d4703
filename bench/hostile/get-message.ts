import { create, toBinary } from "@bufbuild/protobuf";
import {
  GetSessionRequestSchema,
  SessionService,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { appOf, type Population, tokenOf } from "../data/population.js";
import { framed } from "../load/grpc-client.js";
import type { Message } from "../load/grpc-connection.js";
import { methodOf } from "../load/method.js";

/** GetSession of the population's first session. */
export function getMessage(population: Population): Message {
  const request = create(GetSessionRequestSchema, {
    app: appOf(population, 0),
    token: tokenOf(population, 0),
  });
  const body = framed(toBinary(GetSessionRequestSchema, request));
  return {
    path: methodOf(SessionService.method.getSession).path,
    body: body.toString("base64"),
  };
}
