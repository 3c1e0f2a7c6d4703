import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { Cipher } from "../../gen/ts/latchkey/rke/v1/cipher_pb.js";
import { EncryptRequestSchema, RkeService } from "../../gen/ts/latchkey/rke/v1/rke_service_pb.js";
import { runH2load } from "../load/generators.js";
import { call, framed, withClient } from "../load/grpc-client.js";
import { methodOf } from "../load/method.js";
import type { Driver, DriverOptions } from "./driver.js";

/** Bytes of the plaintext of each call. */
export const PLAINTEXT = 1_024;

const { createSession, encrypt, getSession } = RkeService.method;
const PATH = methodOf(encrypt).path;

/** Drives Encrypt with h2load: one message of 1 KiB by AES-256-GCM in each call. */
export async function openRkeEncryptDriver({ server, dir }: DriverOptions): Promise<Driver> {
  const { grpc, rke } = server;
  if (grpc === undefined || rke === undefined) throw new Error("the server has no RKE");
  const sessionId = await withClient(grpc, async (client) => {
    const { session } = await call(client, createSession, rke, {});
    return session?.sessionId ?? "";
  });
  const message = create(EncryptRequestSchema, {
    sessionId,
    cipher: Cipher.AES_256_GCM,
    items: [{ plaintext: randomBytes(PLAINTEXT) }],
  });
  const body = join(dir, "request.bin");
  await writeFile(body, framed(toBinary(EncryptRequestSchema, message)));

  return {
    transport: "grpc",
    method: PATH.slice(1),
    async carriedOut() {
      const { session } = await withClient(grpc, (client) =>
        call(client, getSession, { sessionId }, {}),
      );
      return Number(session?.encryptCount);
    },
    run: (load) => runH2load(load, body, `http://${grpc}${PATH}`),
  };
}
