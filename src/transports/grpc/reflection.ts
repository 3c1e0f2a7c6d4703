import type { Duplex } from "node:stream";
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { file_google_rpc_error_details } from "../../../gen/ts/google/rpc/error_details_pb.js";
import { file_health_v1_health } from "../../../gen/ts/health/v1/health_pb.js";

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/**
 * Adds server reflection, v1 and v1alpha, for the services given, the health
 * service, and the messages that error details are made of.
 */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Set<DescFile>();
  for (const service of services) collect(service.file, files);
  collect(file_health_v1_health, files);
  collect(file_google_rpc_error_details, files);
  const fileDescriptorProtos = [...files].map(({ proto }) =>
    toBinary(FileDescriptorProtoSchema, proto),
  );
  // Of a definition, reflection reads the files and nothing else.
  const definition = { latchkey: { fileDescriptorProtos } } as unknown as PackageDefinition;
  const place: Pick<Server, "addService"> = {
    addService(service: ServiceDefinition, implementation: UntypedServiceImplementation) {
      const entries = Object.entries(implementation).map(([name, handler]) => [
        name,
        // All methods of the service are streams in both directions.
        heedReader(handler as unknown as (call: Duplex) => void),
      ]);
      server.addService(service, Object.fromEntries(entries));
    },
  };
  new ReflectionService(definition).addToServer(place as Server); // Of which it uses `addService` alone.
}

/**
 * Has `handle`, which answers each message at once, wait while its caller does not read: else
 * answers would come together without a bound, each many times its question.
 */
export function heedReader<C extends Duplex>(handle: (call: C) => void): (call: C) => void {
  return (call) => {
    handle(call);
    call.on("data", () => {
      if (call.writableNeedDrain) call.pause();
    });
    call.on("drain", () => call.resume());
  };
}

function collect(file: DescFile, files: Set<DescFile>): void {
  for (const dependency of file.dependencies) collect(dependency, files);
  files.add(file);
}
