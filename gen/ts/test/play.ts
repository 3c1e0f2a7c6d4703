import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { Code, type Transport } from "@connectrpc/connect";
import { RkeService } from "../latchkey/rke/v1/rke_service_pb.js";
import {
  SessionService,
  WatchSessionsRequestSchema,
  type WatchSessionsResponse,
  WatchSessionsResponseSchema,
} from "../latchkey/session/v1/session_service_pb.js";
import { LatchkeyError, toLatchkeyError } from "../src/error.js";
import {
  createLatchkey,
  type Latchkey,
  type LatchkeyOptions,
  openTransport,
} from "../src/index.js";
import { withPolicy } from "../src/policy.js";
import { assertMatches, fill, type Variables, valueAt } from "./matching.js";
import type { Servers } from "./servers.js";

/** As test/system/clients/README.md has them. */
export interface Scenario {
  readonly title: string;
  readonly server: string;
  readonly as?: string;
  readonly grpcOnly?: boolean;
  readonly steps: readonly Step[];
}

interface Step {
  readonly call?: string;
  readonly watch?: string;
  readonly next?: string;
  readonly close?: string;
  readonly stop?: true;
  readonly start?: true;
  readonly request?: JsonValue;
  readonly stream?: readonly JsonValue[];
  readonly as?: string;
  readonly raw?: boolean;
  readonly deadlineMs?: number;
  readonly cancelAfterMs?: number;
  readonly expect?: JsonValue;
  readonly error?: JsonValue;
  readonly save?: Readonly<Record<string, string>>;
}

/** Clients of one caller. */
interface Caller {
  readonly latchkey: Latchkey;
  /** What it calls through, with and without what the client adds. */
  readonly kind: Transport;
  readonly raw: Transport & { close(): void };
  readonly headers: Record<string, string>;
}

const NEXT = 10_000;

/** Plays a scenario; rejects if something is not as it says. */
export async function play(
  { steps, server, as = "none" }: Scenario,
  transport: "grpc" | "connect",
  servers: Servers,
): Promise<void> {
  const random = (length: number) =>
    Array.from({ length }, () => randomInt(36).toString(36)).join("");
  const variables: Variables = new Map<string, JsonValue>([
    ["app", `u-${random(14)}`],
    ["unique", random(32)],
    ["noToken", "0".repeat(64)],
    ["long", "x".repeat(1_100_000)],
    ...Object.entries(servers.rke),
  ]);
  const callers = new Map<string, Caller>();
  const callerOf = (name: string): Caller => {
    const caller = callers.get(name) ?? openCaller(optionsOf(name, server, transport, servers));
    callers.set(name, caller);
    return caller;
  };
  const watches = new Map<string, { next(): Promise<JsonValue>; close(): Promise<void> }>();
  const watchOf = (name: string) => {
    const watch = watches.get(name);
    assert.ok(watch, `no watch ${name}`);
    return watch;
  };

  const run = async (step: Step): Promise<JsonValue> => {
    const caller = callerOf(step.as ?? as);
    if (step.call !== undefined) return call(caller, step, variables);
    if (step.watch !== undefined) {
      const json = fill(step.request ?? {}, variables);
      watches.set(step.watch, openWatch(caller, json));
    }
    if (step.next !== undefined) return watchOf(step.next).next();
    if (step.close !== undefined) await watchOf(step.close).close();
    if (step.stop) await servers.tell("stop", server);
    if (step.start) await servers.tell("start", server);
    return {};
  };

  try {
    for (const [at, step] of steps.entries()) {
      const path = `step ${at + 1}: ${step.call ?? step.next}`;
      const outcome = await run(step).then(
        (answer) => ({ answer }),
        (error: unknown) => ({ error }),
      );
      if (step.error !== undefined) {
        assert.ok("error" in outcome, `${path} succeeded`);
        assertMatches(shown(outcome.error), fill(step.error, variables), path);
        continue;
      }
      if ("error" in outcome) throw new Error(`${path} failed`, { cause: outcome.error });
      if (step.expect !== undefined) {
        assertMatches(outcome.answer, fill(step.expect, variables), path);
      }
      for (const [name, where] of Object.entries(step.save ?? {})) {
        variables.set(name, valueAt(outcome.answer, where));
      }
    }
  } finally {
    for (const watch of watches.values()) await watch.close();
    for (const { latchkey, raw } of callers.values()) {
      latchkey.close();
      raw.close();
    }
  }
}

function optionsOf(
  as: string,
  name: string,
  transport: "grpc" | "connect",
  { servers, keys, files }: Servers,
): LatchkeyOptions {
  const { grpc = "", http = "" } = servers[name] ?? {};
  const [ca, cert, key] = [files.ca, files.cert, files.key].map((path) => readFileSync(path));
  const isTls = http.startsWith("https:");
  return {
    transport,
    address: transport === "grpc" ? grpc : new URL(http).host,
    key: as === "none" || as === "certificate" ? undefined : keys[as],
    ...(isTls && { tls: { ...(ca && { ca }), ...(as === "certificate" && { cert, key }) } }),
  } as LatchkeyOptions;
}

function openCaller(options: LatchkeyOptions): Caller {
  const raw = openTransport(options);
  return {
    latchkey: createLatchkey(options),
    kind: withPolicy(raw, options),
    raw,
    headers: options.key === undefined ? {} : { authorization: `Bearer ${options.key}` },
  };
}

const SERVICES = { SessionService, RkeService };

function methodOf(call: string): DescMethodUnary | DescMethodStreaming {
  const [service = "", name = ""] = call.split("/");
  const method = SERVICES[service as keyof typeof SERVICES].methods.find(
    (one) => one.name === name,
  );
  assert.ok(method, `no RPC ${call}`);
  // DescMethod says the same, but not as a union of the two.
  return method as DescMethodUnary | DescMethodStreaming;
}

async function call(caller: Caller, step: Step, variables: Variables): Promise<JsonValue> {
  const method = methodOf(step.call ?? "");
  const { raw: isRaw, deadlineMs, cancelAfterMs } = step;
  const transport = isRaw ? caller.raw : caller.kind;
  const headers = isRaw ? caller.headers : {};
  const abort = new AbortController();
  if (cancelAfterMs !== undefined) setTimeout(() => abort.abort(), cancelAfterMs);
  const { signal } = abort;
  const parse = (json: JsonValue) => fromJson(method.input, fill(json, variables));

  if (method.methodKind === "unary") {
    const message = parse(step.request ?? {});
    const answer = await transport.unary(method, signal, deadlineMs, headers, message);
    return toJson(method.output, answer.message);
  }
  const messages = async function* () {
    for (const json of step.stream ?? []) yield parse(json);
  };
  const answer = await transport.stream(method, signal, deadlineMs, headers, messages());
  const parts: Uint8Array[] = [];
  for await (const response of answer.message) parts.push(bytesOf(response));
  return { joined: Buffer.concat(parts).toString("base64") };
}

function bytesOf(response: MessageShape<DescMessage>): Uint8Array {
  const bytes = Object.values(response).find((value) => value instanceof Uint8Array);
  assert.ok(bytes instanceof Uint8Array);
  return bytes;
}

function openWatch({ latchkey }: Caller, json: JsonValue) {
  const request = fromJson(WatchSessionsRequestSchema, json);
  const abort = new AbortController();
  const responses = latchkey.watch(request, { signal: abort.signal });
  const told = tellAll(responses);
  return {
    async next(): Promise<JsonValue> {
      const late = setTimeout(() => abort.abort(), NEXT);
      const { done, value } = await told.next();
      clearTimeout(late);
      assert.ok(!done, "the watch ended");
      return value;
    },
    async close() {
      // Leaves the loop, as a `break` in it would; the responses come every 10 s at the latest.
      abort.abort();
      await told.return(undefined).catch(() => undefined);
    },
  };
}

/** What a watch tells, taken apart. */
async function* tellAll(
  responses: AsyncIterable<WatchSessionsResponse>,
): AsyncGenerator<JsonObject> {
  for await (const response of responses) {
    const json = toJson(WatchSessionsResponseSchema, response) as Record<string, JsonObject>;
    const { snapshot, events, snapshotEnd, reset } = json;
    if (snapshotEnd) yield { snapshotEnd };
    if (reset) yield { reset };
    for (const session of listOf(snapshot?.["sessions"])) yield { session };
    for (const event of listOf(events?.["events"])) yield { event };
  }
}

const listOf = (value: JsonValue | undefined) => (Array.isArray(value) ? value : []);

/** An error as the table describes it. */
function shown(cause: unknown): JsonObject {
  if (cause instanceof assert.AssertionError) throw cause;
  const error = toLatchkeyError(cause);
  assert.ok(error instanceof LatchkeyError);
  const { code, reason, fields, metadata, message } = error;
  return {
    code: CODE_NAMES[code] ?? `${code}`,
    ...(reason !== undefined && { reason }),
    fields: [...fields],
    metadata: { ...metadata },
    message,
  };
}

/** `NOT_FOUND` of `NotFound`, and gRPC's spelling of `Canceled`. */
const CODE_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(Code).map(([name, code]) => [
    code,
    name === "Canceled" ? "CANCELLED" : name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase(),
  ]),
);
