import { gzipSync } from "node:zlib";

/** What a stranger sends on a connection of its own. */
export interface Move {
  readonly name: string;
  readonly to: "http" | "grpc" | "command";
  readonly bytes: Buffer;
  /** Milliseconds for which the connection is held, answered or not; 0: until its answer begins. */
  readonly hold: number;
}

const KIB = 1_024;
const MIB = 1_024 * KIB;
const RPC = "/latchkey.session.v1.SessionService/UpdateSession";
const HEALTH = "/grpc.health.v1.Health/Watch";
/** Milliseconds: longer than the server waits for anything. */
const LONG = 60_000;

/** One of each kind that a caller without credentials has on the three listeners. */
export const MOVES: readonly Move[] = [
  { name: "silence, HTTP", to: "http", bytes: Buffer.alloc(0), hold: LONG },
  { name: "silence, gRPC", to: "grpc", bytes: Buffer.alloc(0), hold: LONG },
  { name: "headers that never end", to: "http", bytes: text("GET /a HTTP/1.1\r\nx: "), hold: LONG },
  { name: "no credentials", to: "http", bytes: get("/shop/get/abc"), hold: 0 },
  {
    name: "a wrong key",
    to: "http",
    bytes: get("/shop/get/abc", [`authorization: Bearer lk_${"x".repeat(43)}`]),
    hold: 0,
  },
  {
    name: "a wrong password",
    to: "http",
    bytes: get("/shop/get/abc", [`authorization: Basic ${btoa("ann:wrong")}`]),
    hold: 0,
  },
  { name: "health", to: "http", bytes: get("/livez"), hold: 0 },
  { name: "a path of slashes", to: "http", bytes: get("/".repeat(15 * KIB)), hold: 0 },
  {
    name: "a body that never ends",
    to: "http",
    bytes: post(RPC, Buffer.alloc(MIB - 1, " "), MIB),
    hold: 5_000,
  },
  {
    name: "a body that unpacks to a MiB",
    to: "http",
    bytes: post(RPC, gzipSync(Buffer.alloc(MIB, "[]")), null, ["content-encoding: gzip"]),
    hold: 0,
  },
  { name: "no HTTP", to: "http", bytes: Buffer.alloc(16 * KIB, 7), hold: 0 },
  { name: "a message that never ends", to: "grpc", bytes: calls(RPC, 1, 60 * KIB), hold: 5_000 },
  { name: "100 calls at once", to: "grpc", bytes: calls(RPC, 100, 0), hold: 1_000 },
  { name: "100 watches of health", to: "grpc", bytes: calls(HEALTH, 100, 0, true), hold: LONG },
  { name: "no HTTP/2", to: "grpc", bytes: Buffer.alloc(16 * KIB, 7), hold: 0 },
  { name: "silence, commands", to: "command", bytes: Buffer.alloc(0), hold: LONG },
  { name: "a frame that never ends", to: "command", bytes: Buffer.from([0, 0, 255]), hold: LONG },
  { name: "no frame", to: "command", bytes: Buffer.alloc(16 * KIB, 255), hold: 0 },
];

function text(line: string): Buffer {
  return Buffer.from(line, "latin1");
}

function get(path: string, headers: readonly string[] = []): Buffer {
  return text([`GET ${path} HTTP/1.1`, "host: localhost", ...headers, "\r\n"].join("\r\n"));
}

function post(path: string, body: Buffer, length: number | null, more: readonly string[] = []) {
  const head = [
    `POST ${path} HTTP/1.1`,
    "host: localhost",
    "content-type: application/json",
    `content-length: ${length ?? body.length}`,
    ...more,
    "\r\n",
  ];
  return Buffer.concat([text(head.join("\r\n")), body]);
}

/**
 * A connection of gRPC with so many calls, each of a message of which `sent` bytes of a MiB come, or
 * of an empty one that is whole. RFC 9113 for the frames, RFC 7541 for the headers, of which none
 * is packed.
 */
function calls(path: string, count: number, sent: number, isWhole = false): Buffer {
  const headers = Buffer.concat(
    Object.entries({
      ":method": "POST",
      ":scheme": "http",
      ":path": path,
      ":authority": "localhost",
      "content-type": "application/grpc",
      te: "trailers",
    }).flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  );
  const message = Buffer.alloc(5);
  if (!isWhole) message.writeUInt32BE(MIB, 1);
  const frames = [text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, Buffer.alloc(0))];
  for (let i = 0; i < count; i++) {
    const stream = 2 * i + 1;
    frames.push(frame(1, 4, stream, headers), frame(0, isWhole ? 1 : 0, stream, message));
    // What the other end takes before it says that it takes more.
    for (let left = sent; left > 0; left -= 16 * KIB) {
      frames.push(frame(0, 0, stream, Buffer.alloc(Math.min(left, 16 * KIB))));
    }
  }
  return Buffer.concat(frames);
}

/** A string of HPACK of up to 126 bytes. */
function literal(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), text(value)]);
}

function frame(type: number, flags: number, stream: number, content: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(content.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, content]);
}
