// A bare gRPC echo of RkeService.Encrypt: decodes the same request and answers one ciphertext of
// the plaintext's size, made once, on grpc-js at its defaults; with the argument `encrypt` it
// encrypts by node:crypto. Its calls are counted, so that the benchmark can check it. EncryptStream
// answers each chunk with as many bytes of its own, and reads on when that is sent.
import { createCipheriv, randomBytes } from "node:crypto";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Server,
  ServerCredentials,
} from "@grpc/grpc-js";
import {
  type CreateSessionRequest,
  type CreateSessionResponse,
  CreateSessionResponseSchema,
  type EncryptRequest,
  type EncryptResponse,
  EncryptResponseSchema,
  EncryptStreamRequestSchema,
  type GetSessionRequest,
  type GetSessionResponse,
  GetSessionResponseSchema,
  RkeService,
} from "../../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { SessionSchema } from "../../../gen/ts/latchkey/rke/v1/session_pb.js";
import { encoderOf } from "../../../src/transports/grpc/methods/messages.js";
import { PLAINTEXT } from "../../drivers/rke.js";
import { methodOf } from "../../load/method.js";
import { announce } from "./announce.js";

const { createSession, encrypt, encryptStream, getSession } = RkeService.method;
const TAG = 16;
const NONCE = 12;

let calls = 0n;
const session = () => create(SessionSchema, { sessionId: "0".repeat(32), encryptCount: calls });
const ciphertext = randomBytes(PLAINTEXT + TAG);
const response = create(EncryptResponseSchema, {
  results: [{ result: { case: "encrypted", value: { ciphertext, nonce: randomBytes(NONCE) } } }],
});

const answerCreate: handleUnaryCall<CreateSessionRequest, CreateSessionResponse> = (_, callback) =>
  callback(null, create(CreateSessionResponseSchema, { session: session() }));

const answerGet: handleUnaryCall<GetSessionRequest, GetSessionResponse> = (_, callback) =>
  callback(null, create(GetSessionResponseSchema, { session: session() }));

const answerEncrypt: handleUnaryCall<EncryptRequest, EncryptResponse> = (_, callback) => {
  calls += 1n;
  callback(null, response);
};

type EncryptResponseInit = MessageInitShape<typeof EncryptResponseSchema>;

const key = randomBytes(32);
const answerEncrypted: handleUnaryCall<EncryptRequest, EncryptResponseInit> = (
  { request },
  callback,
) => {
  calls += 1n;
  const results = request.items.map(({ plaintext }) => {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    const body = cipher.update(plaintext);
    cipher.final();
    const value = { ciphertext: Buffer.concat([body, cipher.getAuthTag()]), nonce };
    return { result: { case: "encrypted" as const, value } };
  });
  callback(null, { results });
};

const encodeChunk = encoderOf(encryptStream);
const chunks = new Map<number, Uint8Array>();
const chunkOf = (length: number): Uint8Array => {
  const made = chunks.get(length) ?? randomBytes(length);
  chunks.set(length, made);
  return made;
};
const answerStream: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
  call.on("data", (bytes: Buffer) => {
    const { request } = fromBinary(EncryptStreamRequestSchema, bytes);
    if (request.case !== "plaintext") return;
    const answer = encodeChunk({ ciphertext: chunkOf(request.value.length) });
    if (!call.write(answer)) call.pause();
  });
  call.on("drain", () => call.resume());
  call.on("end", () => call.end());
};
const same = (bytes: Buffer) => bytes;
const streamMethod = {
  path: `/${RkeService.typeName}/${encryptStream.name}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

const encryptMethod = { ...methodOf(encrypt), responseSerialize: encoderOf(encrypt) };

const server = new Server();
server.addService(
  {
    createSession: methodOf(createSession),
    getSession: methodOf(getSession),
    encrypt: encryptMethod,
    encryptStream: streamMethod,
  },
  {
    createSession: answerCreate,
    getSession: answerGet,
    encrypt: process.argv[2] === "encrypt" ? answerEncrypted : answerEncrypt,
    encryptStream: answerStream,
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  announce("grpc", { address: "127.0.0.1", port, family: "IPv4" });
});
