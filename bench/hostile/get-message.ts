import { create, toBinary } from "@bufbuild/protobuf";
import {
  GetSessionRequestSchema,
  SessionService,
} from "../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { framed } from "../grpc-client.js";
import type { Message } from "../grpc-connection.js";
import { methodOf } from "../method.js";
import { appOf, type Population, tokenOf } from "../population.js";

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
