import type { Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { LatchkeyError } from "../../domain/error.js";
import { type CallerOf, toStatus } from "./unary.js";

/** What the handlers of grpc-js are given, as far as it concerns us. */
type Call = Parameters<CallerOf>[0] & {
  readonly emit: (event: "error", status: ReturnType<typeof toStatus>) => boolean;
};
type Callback = (status: ReturnType<typeof toStatus>) => void;
type Handler = (call: Call, callback?: Callback) => void;

/**
 * A place for services that libraries implement: adds them to `server` behind
 * authentication. Every caller who is authenticated may call them.
 */
export function protectedServer(server: Server, callerOf: CallerOf): Pick<Server, "addService"> {
  const protect =
    (handler: Handler): Handler =>
    async (call, callback) => {
      try {
        await callerOf(call);
      } catch (error) {
        const shown =
          error instanceof LatchkeyError
            ? error
            : new LatchkeyError("internal", "internal server error");
        if (callback) callback(toStatus(shown));
        else call.emit("error", toStatus(shown));
        return;
      }
      handler(call, callback);
    };
  return {
    addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation) {
      const entries = Object.entries(implementation).map(([name, handler]) => [
        name,
        // The library's handlers take a call, and a callback where one answer is due.
        protect((handler as unknown as Handler).bind(implementation)),
      ]);
      server.addService(definition, Object.fromEntries(entries));
    },
  };
}
