import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";

type PackageDefinition = Parameters<typeof loadPackageDefinition>[0];

/** The versions of server reflection. */
export const REFLECTIONS = ["v1", "v1alpha"] as const;

/** The parts of an answer of server reflection that the tests look at. */
export interface ReflectionAnswer {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] };
  readonly error_response?: { readonly error_code: number };
}

/** Asks server reflection by the .proto file that its implementation ships. */
export async function reflect(
  address: string,
  version: (typeof REFLECTIONS)[number],
  request: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<ReflectionAnswer> {
  const entry = createRequire(import.meta.url).resolve("@grpc/reflection");
  const load = createRequire(entry)("@grpc/proto-loader") as {
    loadSync(path: string, options: object): PackageDefinition;
  };
  const file = join(dirname(entry), `../proto/grpc/reflection/${version}/reflection.proto`);
  const name = `grpc.reflection.${version}.ServerReflection`;
  const definition = load.loadSync(file, { keepCase: true })[name];
  assert.ok(definition);
  const loaded = loadPackageDefinition({ ServerReflection: definition });
  const Reflection = loaded["ServerReflection"] as ServiceClientConstructor;
  const client = new Reflection(address, credentials.createInsecure());
  try {
    const method = client["ServerReflectionInfo"]?.bind(client);
    assert.ok(method);
    const stream = method(Metadata.fromHttp2Headers(headers));
    return await new Promise((resolve, reject) => {
      stream.on("data", (answer: ReflectionAnswer) => {
        stream.on("end", () => resolve(answer));
        stream.end();
      });
      stream.on("error", reject);
      stream.write(request);
    });
  } finally {
    client.close();
  }
}
