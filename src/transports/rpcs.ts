import type {
  DescMethod,
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

/** An implementation of every RPC of a service whose RPCs are all unary. */
export type Rpcs<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends DescMethodUnary ? Rpc<S["method"][K]> : never;
};

export type UnaryMethod = DescMethod & DescMethodUnary;

/** A service's RPCs as a list, each with its description and the name that metrics know it by. */
export function listRpcs<S extends DescService>(service: S, rpcs: Rpcs<S>) {
  return service.methods.filter(isUnary).map((method) => ({
    method,
    name: `${service.typeName}/${method.name}`,
    // Rpcs<S> has an entry for every unary method of S.
    rpc: rpcs[method.localName as keyof Rpcs<S>] as Rpc,
  }));
}

function isUnary(method: DescMethod): method is UnaryMethod {
  return method.methodKind === "unary";
}
