import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { MaybePromise } from "../../lib/maybe-promise.js";
import type { CallerSession } from "../../services/access/connections.js";
import type { AnswerCall } from "../../services/watches/watch-request.js";

/** What an RPC may ask of the call that it answers. */
export interface RpcCall {
  /** Whether the caller has gone: its deadline passed or it cancelled. */
  readonly cancelled: () => boolean;
  /** Who called; null where authentication is off. */
  readonly caller: CallerSession | null;
  /** Whether the answer is to be written as JSON; binary if absent. */
  readonly isJson?: boolean;
}

/** What an RPC whose answer takes its time may ask of its call: its signal is aborted once nobody
 * waits for an answer any more. */
export interface StreamCall extends RpcCall, AnswerCall {}

/** One RPC: request message in, response message out; throws LatchkeyError. */
export type Rpc<M extends DescMethodUnary = DescMethodUnary> = (
  request: MessageShape<M["input"]>,
  call: RpcCall,
) => MaybePromise<MessageInitShape<M["output"]>>;

/**
 * One call of a bidirectional RPC: what to answer to each request, in order, and when there are
 * no more. Both throw LatchkeyError, after which neither is called.
 */
export interface BidiCall<M extends DescMethodBiDiStreaming = DescMethodBiDiStreaming> {
  next(request: MessageShape<M["input"]>): readonly MessageInitShape<M["output"]>[];
  end(): readonly MessageInitShape<M["output"]>[];
}

/** A bidirectional RPC, called once for each call; throws LatchkeyError. */
export type BidiRpc<M extends DescMethodBiDiStreaming = DescMethodBiDiStreaming> = (
  call: RpcCall,
) => BidiCall<M>;

/**
 * A server-streaming RPC: request message in, response messages out, each asked for when the one
 * before it is on its way. Throws LatchkeyError.
 */
export type ServerStreamRpc<M extends DescMethodServerStreaming = DescMethodServerStreaming> = (
  request: MessageShape<M["input"]>,
  call: StreamCall,
) => AsyncIterable<MessageInitShape<M["output"]>>;

/** An implementation of every RPC of a service, none of which streams requests alone. */
export type Rpcs<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends DescMethodUnary
    ? Rpc<S["method"][K]>
    : S["method"][K] extends DescMethodBiDiStreaming
      ? BidiRpc<S["method"][K]>
      : S["method"][K] extends DescMethodServerStreaming
        ? ServerStreamRpc<S["method"][K]>
        : never;
};

export type UnaryMethod = DescMethod & DescMethodUnary;
export type BidiMethod = DescMethod & DescMethodBiDiStreaming;
export type ServerStreamMethod = DescMethod & DescMethodServerStreaming;

/** A service's unary RPCs as a list, each with its description and the name that metrics know it by. */
export function listRpcs<S extends DescService>(service: S, rpcs: Rpcs<S>) {
  return service.methods.filter(isUnary).map((method) => ({
    method,
    name: `${service.typeName}/${method.name}`,
    // Rpcs<S> has an entry for every unary method of S.
    rpc: rpcs[method.localName as keyof Rpcs<S>] as Rpc,
  }));
}

/** As `listRpcs`, its bidirectional RPCs. */
export function listBidiRpcs<S extends DescService>(service: S, rpcs: Rpcs<S>) {
  return service.methods.filter(isBidi).map((method) => ({
    method,
    name: `${service.typeName}/${method.name}`,
    // Rpcs<S> has an entry for every bidirectional method of S.
    rpc: rpcs[method.localName as keyof Rpcs<S>] as BidiRpc,
  }));
}

/** As `listRpcs`, its server-streaming RPCs. */
export function listServerStreamRpcs<S extends DescService>(service: S, rpcs: Rpcs<S>) {
  return service.methods.filter(isServerStream).map((method) => ({
    method,
    name: `${service.typeName}/${method.name}`,
    // Rpcs<S> has an entry for every server-streaming method of S.
    rpc: rpcs[method.localName as keyof Rpcs<S>] as ServerStreamRpc,
  }));
}

function isUnary(method: DescMethod): method is UnaryMethod {
  return method.methodKind === "unary";
}

function isBidi(method: DescMethod): method is BidiMethod {
  return method.methodKind === "bidi_streaming";
}

function isServerStream(method: DescMethod): method is ServerStreamMethod {
  return method.methodKind === "server_streaming";
}
