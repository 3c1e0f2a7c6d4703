import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
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
  new ReflectionService(definition).addToServer(server);
}

function collect(file: DescFile, files: Set<DescFile>): void {
  for (const dependency of file.dependencies) collect(dependency, files);
  files.add(file);
}
