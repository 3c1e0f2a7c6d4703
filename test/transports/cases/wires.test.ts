import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { type Case, runCase, type Trial } from "../../support/transports/case.js";
import { openRawWire, type RawWire } from "../../support/transports/raw.js";
import {
  STORES,
  type StoreKind,
  startServer,
  type TestServer,
} from "../../support/transports/server.js";
import { openWire, WIRES, type Wire, type WireName } from "../../support/transports/wires.js";
import { CASES } from "./cases.js";

/** A server and both ends of one wire, for all cases of the wire. */
interface Bench {
  readonly server: TestServer;
  readonly wire: Wire;
  readonly raw: RawWire;
  readonly tokens: string[];
}

async function openBench(name: WireName, store: StoreKind): Promise<Bench> {
  const server = await startServer(store, "trace");
  return { server, wire: openWire(name, server), raw: openRawWire(name, server), tokens: [] };
}

/** Each case has an app of its own; the clock only ever moves forward. */
function createTrial({ server, wire, raw, tokens }: Bench, app: string): Trial {
  const client = wire.client(SessionService);
  return {
    client,
    raw,
    app,
    clock: server.clock,
    async add(request) {
      const answer = await client.createSession({
        app,
        userId: "ann",
        ip: "192.0.2.1",
        ...request,
      });
      assert.ok(answer.session);
      tokens.push(answer.token);
      return { token: answer.token, session: answer.session };
    },
  };
}

const fits = (one: Case, wire: WireName, store: StoreKind) =>
  (one.wires?.includes(wire) ?? true) && (store === "memory" || one.storeless !== true);

for (const store of STORES) {
  for (const name of WIRES) {
    describe(`${name} over the ${store} store`, () => {
      let bench: Bench;
      before(async () => {
        bench = await openBench(name, store);
      });
      after(async () => {
        bench.wire.close();
        bench.raw.close();
        await bench.server.close();
      });

      for (const [index, one] of CASES.entries()) {
        if (!fits(one, name, store)) continue;
        test(one.title, () => runCase(one, createTrial(bench, `case-${index}`)));
      }

      test("nothing that was logged, down to trace, shows a token or a fault", () => {
        const log = bench.server.log.join("");
        assert.ok(bench.server.log.length > 100, "the calls were not logged");
        assert.ok(bench.tokens.length > 100);
        for (const token of bench.tokens) assert.equal(log.includes(token.slice(0, 16)), false);
        assert.doesNotMatch(log, /[A-Za-z0-9]{60}/);
        assert.doesNotMatch(log, /call failed|"level":[56]0/);
      });
    });
  }
}
