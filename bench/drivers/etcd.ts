import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { SessionSchema } from "../../gen/ts/latchkey/session/v1/session_pb.js";
import { createSampleSession } from "../data/sample-session.js";
import { runH2load } from "../load/generators.js";
import { framed, withClient } from "../load/grpc-client.js";
import { runSteadyMessage } from "../load/steady-load.js";
import { APP, DATA, DEADLINE_MS, type Driver, type DriverOptions, IP } from "./driver.js";

const RANGE = "/etcdserverpb.KV/Range";
const PUT = "/etcdserverpb.KV/Put";
/** As long as what names a session to Latchkey. */
const KEY = Buffer.from(`${APP}/${"A".repeat(64)}`);

// The fields of etcd's rpc.proto that are needed.
const putRequest = (value: Uint8Array) =>
  new BinaryWriter().uint32(10).bytes(KEY).uint32(18).bytes(value).finish();
const rangeRequest = () =>
  // Serializable: answered from this member's own data, without asking for a quorum.
  new BinaryWriter().uint32(10).bytes(KEY).uint32(56).bool(true).finish();

/** Drives etcd's Range of one key with h2load; the value is a session as Latchkey answers it. */
export async function openEtcdRangeDriver({ server, dir }: DriverOptions): Promise<Driver> {
  const { grpc, http } = server;
  if (grpc === undefined || http === undefined) throw new Error("etcd has no address");
  const session = { ...createSampleSession(), app: APP, userId: "prepared-0", ip: IP, data: DATA };
  const value = Buffer.from(toBinary(SessionSchema, create(SessionSchema, session)));
  await unary(grpc, PUT, putRequest(value));
  const answer = await unary(grpc, RANGE, rangeRequest());
  if (!answer.includes(value)) throw new Error("etcd did not answer the value that was put");
  const body = join(dir, "request.bin");
  const request = framed(rangeRequest());
  await writeFile(body, request);

  return {
    transport: "grpc",
    method: RANGE.slice(1),
    carriedOut: () => countRanges(http),
    run: (load) => runH2load(load, body, `http://${grpc}${RANGE}`),
    runSteady: (load, rate) => runSteadyMessage(load, grpc, RANGE, request, {}, rate),
  };
}

/** The Ranges that etcd answered well so far. */
async function countRanges(http: string): Promise<number> {
  const response = await fetch(`${http}/metrics`, { signal: AbortSignal.timeout(DEADLINE_MS) });
  const line =
    /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Range",[^}]*\} (\S+)$/m.exec(
      await response.text(),
    );
  if (!line) throw new Error("etcd's /metrics does not count Ranges");
  return Number(line[1]);
}

function unary(grpc: string, path: string, request: Uint8Array): Promise<Buffer> {
  const same = (bytes: Buffer) => bytes;
  return withClient(
    grpc,
    (client) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + DEADLINE_MS };
        client.makeUnaryRequest(
          path,
          same,
          same,
          Buffer.from(request),
          options,
          (error, answer) => {
            if (answer === undefined) reject(error ?? new Error(`${path} answered nothing`));
            else resolve(answer);
          },
        );
      }),
  );
}
