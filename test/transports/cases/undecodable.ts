import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code } from "@connectrpc/connect";
import {
  CreateSessionRequestSchema,
  GetSessionRequestSchema,
} from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { type Case, invalid, type Trial } from "../../support/transports/case.js";

const BINARY = ["gRPC", "Connect binary", "gRPC-Web"] as const;
const JSON_ONLY = ["Connect JSON"] as const;

const text = (content: string) => Buffer.from(content);
const FIELD_APP = 1;

/** Bytes that are no GetSessionRequest in protobuf's binary format. */
const BAD_BINARY: Readonly<Record<string, Uint8Array>> = {
  "a truncated tag": Buffer.from([0xff]),
  "an endless number": Buffer.alloc(20, 0xff),
  "a text that ends too early": toBinary(
    GetSessionRequestSchema,
    create(GetSessionRequestSchema, { app: "shop" }),
  ).subarray(0, 4),
  "field number 0": Buffer.from([0x00, 0x00]),
  "an unopened group": Buffer.from([0x0c]),
  "groups nested 10,000 levels": Buffer.alloc(10_000, 0x7b),
  "text that is not UTF-8": new BinaryWriter()
    .tag(FIELD_APP, WireType.LengthDelimited)
    .bytes(Buffer.from([0x73, 0xff, 0x70]))
    .finish(),
  "a lone surrogate in UTF-8": new BinaryWriter()
    .tag(FIELD_APP, WireType.LengthDelimited)
    .bytes(Buffer.from([0x73, 0xed, 0xa0, 0x80]))
    .finish(),
};

/** Texts that are no GetSessionRequest in JSON. */
const BAD_JSON: Readonly<Record<string, Uint8Array>> = {
  "half an object": text('{"app":'),
  "an array": text("[]"),
  "a number for text": text('{"app":1}'),
  "a text for a flag": text('{"app":"shop","peek":"yes"}'),
  "bytes that are not UTF-8": Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  "a lone surrogate": text('{"app":"\\ud800"}'),
};

/** A CreateSessionRequest whose data is nested so many levels, as the wire has it. */
function nested({ raw }: Trial, levels: number): Uint8Array {
  if (raw.json) {
    const data = `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
    return text(`{"app":"shop","userId":"ann","ip":"::1","data":${data}}`);
  }
  // Struct.fields = 1 of entries key = 1, value = 2; Value.struct_value = 5. Each
  // level is written before what it holds, so its length is counted from within.
  const prefixes: Uint8Array[] = [];
  let length = 0;
  for (let level = 0; level < levels; level++) {
    const value = new BinaryWriter().tag(2, WireType.LengthDelimited).uint32(length).finish();
    const key = Buffer.from([0x0a, 1, 0x61]);
    const entry = new BinaryWriter()
      .tag(1, WireType.LengthDelimited)
      .uint32(key.length + value.length + length);
    const struct = Buffer.concat([entry.finish(), key, value]);
    length += struct.length;
    const outer = new BinaryWriter().tag(5, WireType.LengthDelimited).uint32(length).finish();
    if (level < levels - 1) length += outer.length;
    prefixes.unshift(level < levels - 1 ? Buffer.concat([outer, struct]) : struct);
  }
  const data = Buffer.concat(prefixes);
  const request = { app: "shop", userId: "ann", ip: "::1" };
  return Buffer.concat([
    toBinary(CreateSessionRequestSchema, create(CreateSessionRequestSchema, request)),
    new BinaryWriter().tag(5, WireType.LengthDelimited).bytes(data).finish(),
  ]);
}

const bad =
  (kind: string, wires: Case["wires"]) =>
  ([name, bytes]: [string, Uint8Array]): Case => ({
    title: `what is no message is refused: ${kind}, ${name}`,
    ...(wires ? { wires } : {}),
    storeless: true,
    refused: invalid(),
    send: ({ raw }) => raw.send("GetSession", bytes),
  });

export const undecodable: readonly Case[] = [
  ...Object.entries(BAD_BINARY).map(bad("protobuf", BINARY)),
  ...Object.entries(BAD_JSON).map(bad("JSON", JSON_ONLY)),
  {
    title: "two names of one session are refused",
    wires: JSON_ONLY, // In protobuf's binary format the last one counts.
    storeless: true,
    refused: invalid(),
    send: ({ raw }) =>
      raw.send("DeleteSession", text('{"app":"shop","token":"a","sessionId":"b"}')),
  },
  ...[100, 10_000].map(
    (levels): Case => ({
      title: `data nested ${levels} levels is refused`,
      storeless: true,
      refused: { code: Code.InvalidArgument },
      send: (trial) => trial.raw.send("CreateSession", nested(trial, levels)),
    }),
  ),
  {
    title: "a request over 1 MiB is refused",
    storeless: true,
    refused: { code: Code.ResourceExhausted },
    send: ({ raw }) => raw.send("GetSession", Buffer.alloc(1024 * 1024 + 1, " ")),
  },
];
