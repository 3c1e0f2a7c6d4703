import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, type ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { type Guarded, withGuarded } from "../../support/accounts.js";
import { openWatcher } from "../../support/transports/watcher.js";
import { openWire, WIRES, type Wire } from "../../support/transports/wires.js";

/** What ends a caller's right to watch, and the codes that may tell it. */
const ENDINGS: Readonly<
  Record<string, (server: Guarded) => { end: Promise<unknown>; codes: readonly Code[] }>
> = {
  "its account is disabled": ({ accounts }) => ({
    end: accounts.setEnabled("ann", false),
    // Its connection is cut.
    codes: [Code.Unavailable, Code.Aborted, Code.Internal, Code.Canceled, Code.Unknown],
  }),
  "its account is removed": ({ accounts }) => ({
    end: accounts.remove("ann"),
    codes: [Code.Unavailable, Code.Aborted, Code.Internal, Code.Canceled, Code.Unknown],
  }),
  "its key is revoked": ({ accounts, ann }) => ({
    end: accounts.revokeKey("ann", ann.keyId),
    codes: [Code.Unauthenticated],
  }),
};

const headersOf = ({ bearer }: { bearer: string }) => ({ headers: { authorization: bearer } });

for (const wireName of WIRES) {
  for (const [what, finish] of Object.entries(ENDINGS)) {
    test(`over ${wireName} a watch tells nothing more once ${what}`, () =>
      withGuarded(async (server) => {
        const wires: Wire[] = [];
        const open = () => {
          const wire = openWire(wireName, server);
          wires.push(wire);
          return wire;
        };
        try {
          const own = openWatcher(open(), { app: "shop" }, headersOf(server.ann));
          const other = openWatcher(open(), { app: "shop" }, headersOf(server.admin));
          await Promise.all([own.caughtUp(), other.caughtUp()]);
          const client = open().client(SessionService);
          const add = () =>
            client.createSession({ app: "shop", userId: "x" }, headersOf(server.admin));
          await add();
          await own.until("the event", () => own.events().length === 1);

          const { end, codes } = finish(server);
          await end;
          await own.until("the server's knowledge", () =>
            server
              .logged("account changed")
              .some(({ change }) => /disabled|removed|revoked/.test(String(change))),
          );
          await add();
          const error: ConnectError | undefined = await own.ended;
          assert.ok(error && codes.includes(error.code), `${error}`);
          await other.until("the event", () => other.events().length === 2);
          assert.equal(own.events().length, 1);
          other.cut();
        } finally {
          for (const wire of wires) wire.close();
        }
      }));
  }
}

test("on a connection that a proxy shares, only the disabled account's calls end, and at once", () =>
  withGuarded(async (server) => {
    const shared = openWire("gRPC", server);
    try {
      const own = openWatcher(shared, { app: "shop" }, headersOf(server.ann));
      const other = openWatcher(shared, { app: "shop" }, headersOf(server.admin));
      await Promise.all([own.caughtUp(), other.caughtUp()]);
      await server.accounts.setEnabled("ann", false);
      // Nothing happens that a watch would tell of.
      const error: ConnectError | undefined = await own.ended;
      assert.equal(error?.code, Code.Unauthenticated);
      const client = shared.client(SessionService);
      const create = (who: { bearer: string }) =>
        client.createSession({ app: "shop", userId: "x" }, headersOf(who));
      await assert.rejects(create(server.ann), { code: Code.Unauthenticated });
      await create(server.admin);
      await other.until("the event", () => other.events().length === 1);
      other.cut();
    } finally {
      shared.close();
    }
  }));
