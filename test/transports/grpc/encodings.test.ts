import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { CreateSessionRequestSchema } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { openRest, type Rest, type RestBody } from "../../support/transports/rest.js";
import { startServer, type TestServer } from "../../support/transports/server.js";

// What the headers of a Connect request may say of its body.

const PATH = "/latchkey.session.v1.SessionService/CreateSession";
const MESSAGE = { app: "shop", userId: "ann" };
const PROTO = toBinary(CreateSessionRequestSchema, create(CreateSessionRequestSchema, MESSAGE));
const JSON_TEXT = JSON.stringify(MESSAGE);
const NO_MESSAGE = Buffer.from([0xff]);
const NO_GZIP = Buffer.from([0x1f, 0x8b, 0xff, 0xff]);

const SAME: readonly [content: RestBody["content"], type: string, encoding?: string][] = [
  [PROTO, "application/proto"],
  [PROTO, "Application/Proto"],
  [gzipSync(PROTO), "application/proto", "gzip"],
  [JSON_TEXT, "application/json"],
  [JSON_TEXT, "APPLICATION/JSON"],
  [JSON_TEXT, "application/json; charset=utf-8"],
  [gzipSync(JSON_TEXT), "application/json", "gzip"],
  [PROTO, "application/proto", "identity"],
];

const REFUSED: readonly [
  title: string,
  body: RestBody,
  status: number,
  code: string | undefined,
  message?: RegExp,
][] = [
  [
    "no message, its type in capitals",
    { content: NO_MESSAGE, type: "APPLICATION/PROTO" },
    400,
    "invalid_argument",
  ],
  [
    "no message",
    { content: NO_MESSAGE, type: "application/proto" },
    400,
    "invalid_argument",
    /CreateSessionRequest/,
  ],
  [
    "no message, compressed",
    { content: gzipSync(NO_MESSAGE), type: "application/proto", encoding: "gzip" },
    400,
    "invalid_argument",
    /CreateSessionRequest/,
  ],
  [
    "JSON that is none, compressed",
    { content: gzipSync("{"), type: "application/json", encoding: "gzip" },
    400,
    "invalid_argument",
    /CreateSessionRequest/,
  ],
  [
    "protobuf that does not unpack",
    { content: NO_GZIP, type: "application/proto", encoding: "gzip" },
    400,
    "invalid_argument",
  ],
  [
    "JSON that does not unpack",
    { content: NO_GZIP, type: "application/json", encoding: "gzip" },
    400,
    "invalid_argument",
  ],
  [
    "protobuf whose compression is cut short",
    { content: gzipSync(PROTO).subarray(0, 12), type: "application/proto", encoding: "gzip" },
    400,
    "invalid_argument",
  ],
  [
    "a compression that is not known",
    { content: PROTO, type: "application/proto", encoding: "x-none" },
    501,
    "unimplemented",
    /gzip/,
  ],
  [
    "no message, in a compression that is not known",
    { content: NO_MESSAGE, type: "application/proto", encoding: "x-none" },
    501,
    "unimplemented",
    /gzip/,
  ],
  ["another type", { content: JSON_TEXT, type: "text/plain" }, 415, undefined],
  ["a stream's type", { content: JSON_TEXT, type: "application/connect+json" }, 415, undefined],
  ["what is no type", { content: JSON_TEXT, type: "json" }, 415, undefined],
  ["no type", { content: JSON_TEXT }, 415, undefined],
];

describe("the headers of a Connect request", () => {
  let server: TestServer;
  let rest: Rest;
  before(async () => {
    server = await startServer();
    rest = openRest(server.http);
  });
  after(async () => {
    rest.close();
    await server.close();
  });

  for (const [content, type, encoding] of SAME) {
    test(`say that it is ${type}, ${encoding ?? "not compressed"}`, async () => {
      const body = { content, type, ...(encoding === undefined ? {} : { encoding }) };
      assert.equal((await rest.call("POST", PATH, body)).status, 200);
    });
  }

  for (const [title, body, status, code, message] of REFUSED) {
    test(`say what is refused: ${title}`, async () => {
      const answer = await rest.call("POST", PATH, body);
      const error = (answer.text === "" ? {} : JSON.parse(answer.text)) as {
        code?: string;
        message?: string;
      };
      assert.deepEqual([answer.status, error.code], [status, code], error.message);
      if (message) assert.match(error.message ?? "", message);
    });
  }
});
