import { type DescMessage, fromBinary, fromJsonString, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import type { FastifyReply, FastifyRequest } from "fastify";
import { LatchkeyError } from "../../../domain/error.js";
import { MOST_INFLATED } from "../../call/byte-budget.js";
import { STATUS } from "../../call/status.js";
import { checkJsonValues, messageValuesCheck } from "../../rpc/message-values.js";

/** The most bytes of a request's message. */
export const MAX_REQUEST = 1024 * 1024;

/** A frame of gRPC-Web or of a Connect stream: a byte of flags and four of length before the message. */
const FRAME_PREFIX = 5;
/** Of a body as it is sent: a message is at most MAX_REQUEST bytes, also when it is unpacked. */
export const MAX_BODY = MAX_REQUEST + FRAME_PREFIX;
const FLAG_COMPRESSED = 1;
const FLAG_END_STREAM = 2;

/** What says something of a body that is replaced. */
export const BODY_HEADERS = [
  "content-length",
  "content-encoding",
  "grpc-encoding",
  "connect-content-encoding",
];

/** The content types of messages. */
const MESSAGE_TYPE =
  /^application\/(?:grpc-web(?:\+(?:proto|json))?|(?:connect\+)?(?:proto|json))\s*(?:;|$)/;

function typeOf(request: FastifyRequest): string {
  return request.headers["content-type"]?.toLowerCase() ?? "";
}

function isGrpcWeb(contentType: string): boolean {
  return contentType.startsWith("application/grpc-web");
}

function isConnectStream(contentType: string): boolean {
  return contentType.startsWith("application/connect+");
}

function isJson(contentType: string): boolean {
  return /^application\/(?:(?:grpc-web|connect)\+)?json\b/.test(contentType);
}

/** Bytes before the message in a body of this type. */
function prefixOf(contentType: string): number {
  return isGrpcWeb(contentType) || isConnectStream(contentType) ? FRAME_PREFIX : 0;
}

/** A body of the request's type whose message has no fields. */
export function emptyBody(request: FastifyRequest): Buffer {
  const contentType = typeOf(request);
  const message = Buffer.from(isJson(contentType) ? "{}" : "");
  return prefixOf(contentType) > 0 ? framed(0, message) : message;
}

function framed(flags: number, message: Buffer): Buffer {
  const prefix = Buffer.alloc(FRAME_PREFIX);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The header that names how messages of this type are compressed. */
function encodingHeaderOf(contentType: string): string {
  if (isGrpcWeb(contentType)) return "grpc-encoding";
  return isConnectStream(contentType) ? "connect-content-encoding" : "content-encoding";
}

/** A request's message, or why it cannot be decoded; null if the library is to say what is wrong. */
export type Decoded = { readonly message: Message } | { readonly flaw: string } | null;

export interface DecoderOptions {
  readonly input: DescMessage;
  /** Counts the most bytes that a body may unpack to; answers why they may not, if so. */
  readonly unpack: (request: FastifyRequest, bytes: number) => Error | null;
}

/**
 * Returns a function that decodes a body, read whole, which is thrown away if there is no memory to
 * unpack it: then it rejects.
 */
export function createDecoder({ input, unpack }: DecoderOptions) {
  const checkValues = messageValuesCheck(input);
  return async (request: FastifyRequest, body: Buffer): Promise<Decoded> => {
    const contentType = typeOf(request);
    if (!MESSAGE_TYPE.test(contentType)) return null;
    const packed = body.subarray(prefixOf(contentType));
    if (packed.length > MAX_REQUEST) return null; // The library refuses it for its size.
    const message = await unpackMessage(request, body, packed, unpack);
    if (message === null || "flaw" in message) return message;
    try {
      const decoded = decode(input, contentType, message, checkValues);
      // Of frames that are not one message, the library says what is wrong.
      return isOneMessage(body, prefixOf(contentType)) ? { message: decoded } : null;
    } catch (error) {
      return { flaw: flawOf(error, input, contentType) };
    }
  };
}

/** Whether a body with a prefix of so many bytes holds one whole message. */
function isOneMessage(body: Buffer, prefix: number): boolean {
  if (prefix === 0) return true;
  return body.length >= prefix && body.readUInt32BE(1) === body.length - prefix;
}

/** The message as it was before it was compressed. */
async function unpackMessage(
  request: FastifyRequest,
  body: Buffer,
  message: Buffer,
  unpack: DecoderOptions["unpack"],
): Promise<Uint8Array | { readonly flaw: string } | null> {
  const contentType = typeOf(request);
  const isFramed = prefixOf(contentType) > 0;
  const encoding = request.headers[encodingHeaderOf(contentType)] ?? "identity";
  const isPacked = isFramed ? ((body[0] ?? 0) & FLAG_COMPRESSED) !== 0 : encoding !== "identity";
  if (!isPacked) return message;
  // The library says what is wrong with an encoding that it does not know.
  if (encoding !== compressionGzip.name) return null;
  const refusal = unpack(request, Math.min(MAX_REQUEST, message.length * MOST_INFLATED));
  if (refusal) throw refusal;
  try {
    return await compressionGzip.decompress(message, MAX_REQUEST);
  } catch (error) {
    const isLarge = error instanceof ConnectError && error.code === Code.ResourceExhausted;
    return isLarge ? null : { flaw: "the request is no gzip stream" };
  }
}

function decode(
  input: DescMessage,
  contentType: string,
  message: Uint8Array,
  checkValues: (bytes: Uint8Array) => void,
): Message {
  if (!isJson(contentType)) {
    checkValues(message);
    return fromBinary(input, message);
  }
  checkJsonValues(message);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(message);
  // As the library does it.
  return fromJsonString(input, text, { ignoreUnknownFields: true });
}

function flawOf(error: unknown, { typeName }: DescMessage, contentType: string): string {
  if (error instanceof LatchkeyError) return error.message;
  const reason = error instanceof Error ? error.message : "";
  // What follows in the decoder's words on JSON quotes the request.
  const shown = isJson(contentType) ? /^cannot decode [\w.]+ [\w.]+/.exec(reason)?.[0] : reason;
  return `the request is no ${typeName}${shown ? `: ${shown}` : ""}`;
}

/** Answers a body that was not read whole, in the form of the protocol it came by. */
export function refuseLarge(request: FastifyRequest, reply: FastifyReply): void {
  const message = `the request must be at most ${MAX_REQUEST} bytes`;
  const contentType = typeOf(request);
  if (isGrpcWeb(contentType)) {
    sendGrpcWebError(reply, contentType, Code.ResourceExhausted, message);
    return;
  }
  const error = { code: "resource_exhausted", message };
  if (isConnectStream(contentType)) {
    const end = framed(FLAG_END_STREAM, Buffer.from(JSON.stringify({ error })));
    void reply.code(200).header("content-type", contentType).send(end);
    return;
  }
  void reply
    .code(STATUS.limit.http)
    .header("content-type", "application/json")
    .send(JSON.stringify(error));
}

/** Refuses gRPC-Web in Base64; answers whether it did. Its clients read the status in the headers. */
export function refuseText(request: FastifyRequest, reply: FastifyReply): boolean {
  const contentType = typeOf(request);
  if (!contentType.startsWith("application/grpc-web-text")) return false;
  const message =
    "application/grpc-web-text is not served: use application/grpc-web+proto, the binary mode";
  sendGrpcWebError(reply, contentType, Code.Unimplemented, message);
  return true;
}

/** An answer of gRPC-Web whose trailers are its headers, for it has no messages. */
function sendGrpcWebError(
  reply: FastifyReply,
  contentType: string,
  code: Code,
  message: string,
): void {
  void reply
    .code(200)
    .headers({
      "content-type": contentType,
      "grpc-status": String(code),
      "grpc-message": encodeURI(message),
    })
    .send();
}
