import { once } from "node:events";
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  SessionService,
  WatchSessionsRequestSchema,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";

const PATH = `/${SessionService.typeName}/WatchSessions`;

/** Bytes of a window that no test fills. */
const WIDE = 2 ** 28;

function framedRequest(app: string): Buffer {
  const message = toBinary(WatchSessionsRequestSchema, create(WatchSessionsRequestSchema, { app }));
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** How a call by gRPC ended. */
export interface StalledEnding {
  /** Its status and message, if it was told one. */
  readonly status: string | undefined;
  readonly message: string;
  /** The code by which it was reset. */
  readonly reset: number;
}

/** Watches of an app by one connection of gRPC that takes no byte of what it is told. */
export interface StalledWatches {
  /** How each ended that has ended. */
  readonly endings: readonly StalledEnding[];
  /** Reads from now on. */
  read(): void;
  close(): void;
}

export async function openStalledWatches(
  address: string,
  app: string,
  watches: number,
  /** Keeps the connection from taking more, in place of its streams. */
  stall?: () => void,
): Promise<StalledWatches> {
  const endings: StalledEnding[] = [];
  const session: ClientHttp2Session = connect(`http://${address}`, {
    settings: { initialWindowSize: stall ? WIDE : 0 },
  });
  session.on("error", () => {});
  await once(session, "connect");
  if (stall) session.setLocalWindowSize(WIDE);
  for (let n = 0; n < watches; n++) {
    const stream = session.request({
      ":method": "POST",
      ":path": PATH,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status: string | undefined;
    let message = "";
    const take = (headers: IncomingHttpHeaders) => {
      status ??= headers["grpc-status"] as string | undefined;
      message += decodeURI(`${headers["grpc-message"] ?? ""}`);
    };
    stream
      .on("response", take)
      .on("trailers", take)
      .on("error", () => {});
    stream.on("close", () =>
      endings.push({ status, message, reset: stream.rstCode ?? constants.NGHTTP2_NO_ERROR }),
    );
    stream.resume();
    stream.end(framedRequest(app));
    if (stall) stream.once("data", stall);
  }
  return {
    endings,
    read: () => session.settings({ initialWindowSize: WIDE }),
    close: () => session.destroy(),
  };
}

/** A watch over HTTP of which nothing is read until the socket is resumed. */
export async function openStalledHttp(
  address: string,
  app: string,
  contentType: string,
): Promise<Socket> {
  const [host = "", port] = address.split(":");
  const socket = dial(Number(port), host);
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.pause();
  const body = framedRequest(app);
  socket.write(
    `POST ${PATH} HTTP/1.1\r\nhost: ${address}\r\ncontent-type: ${contentType}\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  socket.write(body);
  return socket;
}

/** Lies between clients and a server, and takes nothing of the server's any more once it is to stall. */
export async function startStallingProxy(address: string) {
  const [host = "", port] = address.split(":");
  const ends: Socket[] = [];
  let isStalled = false;
  const server = createServer((client) => {
    const served = dial(Number(port), host);
    ends.push(client, served);
    for (const end of [client, served]) end.on("error", () => {});
    client.on("data", (bytes) => served.write(bytes)).on("close", () => served.destroy());
    served.on("close", () => client.destroy());
    served.on("data", (bytes) => {
      client.write(bytes);
      if (isStalled) served.pause();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port: own } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${own}`,
    stall() {
      isStalled = true;
    },
    close() {
      for (const end of ends) end.destroy();
      server.close();
    },
  };
}
