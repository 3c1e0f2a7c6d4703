import { create } from "@bufbuild/protobuf";
import type { Server, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import {
  Health,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/ts/health/v1/health_pb.js";
import { LatchkeyError } from "../../domain/error.js";
import { bytesMethod, decoderOf, encoderOf } from "./methods/messages.js";
import { toStatus } from "./methods/unary.js";

/** Watches of all callers together. */
const MAX_WATCHES = 1_000;

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
type UnaryCallback = sendUnaryData<Buffer>;
type WatchCall = ServerWritableStream<Buffer, Buffer>;

const { check, list, watch } = Health.method;

export interface HealthOptions {
  /** The services whose health is told; the empty name is the server's own. */
  readonly names: readonly string[];
  /** Watches of all callers together. */
  readonly maxWatches?: number;
}

/**
 * Adds the standard health service to `server`, all services healthy. What is asked for by a name
 * that no service has is not kept: such a name never becomes a service's.
 */
export function addHealth(server: Server, { names, maxWatches = MAX_WATCHES }: HealthOptions) {
  const known = new Set(names);
  /** The watches that are open, and whether they are of services that there are. */
  const watches = new Map<WatchCall, boolean>();
  let current = Status.SERVING;

  const encodeStatus = encoderOf(watch);
  const tell = (call: WatchCall, status: Status) => call.write(encodeStatus({ status }));

  const decodeCheck = decoderOf(check);
  const decodeList = decoderOf(list);
  const encodeList = encoderOf(list);
  const unary =
    (answer: (request: Buffer) => Buffer) => (call: UnaryCall, callback: UnaryCallback) => {
      try {
        callback(null, answer(call.request));
      } catch (error) {
        callback(toStatus(error as LatchkeyError)); // As the answers promise.
      }
    };

  const implementation = {
    check: unary((bytes) => {
      const { service } = decodeCheck(bytes);
      if (known.has(service)) return encodeStatus({ status: current });
      throw new LatchkeyError("not_found", "there is no such service");
    }),
    list: unary((bytes) => {
      decodeList(bytes);
      const status = create(HealthCheckResponseSchema, { status: current });
      return encodeList({ statuses: Object.fromEntries(names.map((name) => [name, status])) });
    }),
    watch(call: WatchCall): void {
      try {
        const { service } = decodeCheck(call.request);
        if (watches.size >= maxWatches) {
          throw new LatchkeyError(
            "limit",
            `${maxWatches} watches of health are open: ask by Check`,
          );
        }
        watches.set(call, known.has(service));
        const over = () => watches.delete(call);
        call.once("cancelled", over).once("close", over);
        tell(call, known.has(service) ? current : Status.SERVICE_UNKNOWN);
      } catch (error) {
        call.emit("error", toStatus(error as LatchkeyError));
      }
    },
  };

  const define = (name: string, responseStream: boolean) =>
    bytesMethod(`${Health.typeName}/${name}`, { requestStream: false, responseStream });
  server.addService(
    {
      check: define(check.name, false),
      list: define(list.name, false),
      watch: define(watch.name, true),
    },
    implementation,
  );

  return {
    /** Tells everybody from now on that the services do not serve. */
    stop(): void {
      current = Status.NOT_SERVING;
      for (const [call, isKnown] of watches) if (isKnown) tell(call, current);
    },
  };
}
