import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Awaitable } from "../domain/awaitable.js";
import type { CallerSession } from "../services/connections.js";

/** What an RPC may ask of the call that it answers. */
export interface RpcCall {
  /** Whether the caller has gone: its deadline passed or it cancelled. */
  readonly cancelled: () => boolean;
  /** Who called; null where authentication is off. */
  readonly caller: CallerSession | null;
}

/** One RPC: request message in, response message out; throws LatchkeyError. */
export type Rpc<M extends DescMethodUnary = DescMethodUnary> = (
  request: MessageShape<M["input"]>,
  call: RpcCall,
) => Awaitable<MessageInitShape<M["output"]>>;

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

/** An implementation of every RPC of a service whose RPCs are unary or bidirectional. */
export type Rpcs<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends DescMethodUnary
    ? Rpc<S["method"][K]>
    : S["method"][K] extends DescMethodBiDiStreaming
      ? BidiRpc<S["method"][K]>
      : never;
};

export type UnaryMethod = DescMethod & DescMethodUnary;
export type BidiMethod = DescMethod & DescMethodBiDiStreaming;

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

function isUnary(method: DescMethod): method is UnaryMethod {
  return method.methodKind === "unary";
}

function isBidi(method: DescMethod): method is BidiMethod {
  return method.methodKind === "bidi_streaming";
}
