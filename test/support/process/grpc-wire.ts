import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, status } from "@grpc/grpc-js";
import type { Session } from "../../../gen/ts/latchkey/session/v1/session_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { APP, IP, map, type Outcome, type Wire } from "./wire.js";

export interface GrpcWire extends Wire {
  /** The session, unchanged. */
  peek(token: string): Promise<Outcome<Session>>;
  /** All sessions of the app. */
  list(): Promise<Session[]>;
}

/** SessionService over gRPC, on one connection. */
export function openGrpc(address: string): GrpcWire {
  const client = new Client(address, credentials.createInsecure());
  const { createSession, getSession, updateSession, rotateToken, listSessions } =
    SessionService.method;
  const { deleteSession, deleteUserSessions } = SessionService.method;

  const call = <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ) =>
    new Promise<Outcome<MessageShape<O>>>((resolve, reject) => {
      client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        create(method.input, request),
        (error, response) => {
          if (response) resolve({ done: response });
          else if (error?.code === status.NOT_FOUND) resolve("absent");
          else if (error?.code === status.UNAVAILABLE) resolve("unanswered");
          else reject(error ?? new Error(`${method.name} answered nothing`));
        },
      );
    });

  const sessionOf = ({ session }: { readonly session?: Session | undefined }): Session => {
    if (session) return session;
    throw new Error("the answer has no session");
  };
  const dataOf = (answer: Parameters<typeof sessionOf>[0]) => sessionOf(answer).data ?? {};

  return {
    create: (userId, data) => call(createSession, { app: APP, userId, ip: IP, data }),
    update: async (token, data) =>
      map(await call(updateSession, { app: APP, token, data }), dataOf),
    read: async (token) => map(await call(getSession, { app: APP, token }), dataOf),
    rotate: (token) => call(rotateToken, { app: APP, token, grace: { seconds: 300n } }),
    deleteUser: (userId) => call(deleteUserSessions, { app: APP, userId }),
    delete: (token) => call(deleteSession, { app: APP, target: { case: "token", value: token } }),
    peek: async (token) => map(await call(getSession, { app: APP, token, peek: true }), sessionOf),
    async list() {
      const all: Session[] = [];
      let pageToken = "";
      do {
        const page = await call(listSessions, { app: APP, pageSize: 1000, pageToken });
        if (typeof page === "string") throw new Error(`the listing is ${page}`);
        all.push(...page.done.sessions);
        pageToken = page.done.nextPageToken;
      } while (pageToken !== "");
      return all;
    },
    close: () => client.close(),
  };
}
