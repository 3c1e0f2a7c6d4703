import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ServiceError } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../../gen/ts/google/rpc/error_details_pb.js";
import { Health } from "../../../gen/ts/health/v1/health_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import type { PublicPart } from "../../../src/transports/net/listener.js";
import { type Guarded, withGuarded } from "../../support/accounts.js";
import { REFLECTIONS, reflect } from "../../support/transports/reflection.js";
import { openRest } from "../../support/transports/rest.js";
import { openWire, type Wire } from "../../support/transports/wires.js";

type Headers = Readonly<Record<string, string>>;
type Outcome = "answered" | "refused";
type Probe = (server: Guarded, headers: Headers) => Promise<Outcome>;

/** A call by gRPC on a connection of its own. */
const byGrpc =
  (call: (wire: Wire, headers: Headers) => Promise<unknown>): Probe =>
  async (server, headers) => {
    const wire = openWire("gRPC", server);
    try {
      await call(wire, headers);
      return "answered";
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      assert.equal(Code[error.code], "Unauthenticated");
      assert.deepEqual(
        error.findDetails(ErrorInfoSchema).map(({ reason }) => reason),
        ["UNAUTHENTICATED"],
      );
      return "refused";
    } finally {
      wire.close();
    }
  };

const byReflection =
  (version: (typeof REFLECTIONS)[number]): Probe =>
  async ({ grpc }, headers) => {
    try {
      const answer = await reflect(grpc, version, { list_services: "*" }, headers);
      assert.notEqual(answer.list_services_response?.service.length ?? 0, 0);
      return "answered";
    } catch (error) {
      const { code, metadata } = error as ServiceError;
      assert.equal(code, Code.Unauthenticated);
      assert.match(`${metadata.get("grpc-status-details-bin")[0]}`, /UNAUTHENTICATED/);
      return "refused";
    }
  };

const byHttp =
  (path: string, content: RegExp): Probe =>
  async ({ http }, headers) => {
    const rest = openRest(http, false);
    const { status, text, headers: answered } = await rest.call("GET", path, undefined, headers);
    rest.close();
    if (status === 200) {
      assert.match(text, content);
      return "answered";
    }
    assert.equal(status, 401);
    assert.match(text, /^{"name":"unauthenticated",/);
    assert.match(answered["www-authenticate"] ?? "", /^Bearer .*, Basic /);
    return "refused";
  };

/** What belongs to each part. */
const PROBES: Readonly<Record<PublicPart | "nothing public", Readonly<Record<string, Probe>>>> = {
  health: {
    "Health.Check": byGrpc((wire, headers) => wire.client(Health).check({}, { headers })),
    "Health.Watch": byGrpc(async (wire, headers) => {
      const answers = wire.client(Health).watch({}, { headers });
      const { done } = await answers[Symbol.asyncIterator]().next();
      assert.equal(done, false);
    }),
    "/livez": byHttp("/livez", /alive/),
    "/readyz": byHttp("/readyz", /ready/),
  },
  reflection: {
    ...Object.fromEntries(REFLECTIONS.map((one) => [`reflection ${one}`, byReflection(one)])),
    "/openapi.json": byHttp("/openapi.json", /"openapi":"3/),
  },
  metrics: { "/metrics": byHttp("/metrics", /^latchkey_store_sessions /m) },
  "nothing public": {
    "SessionService.GetCurrentSession": byGrpc((wire, headers) =>
      wire.client(SessionService).getCurrentSession({}, { headers }),
    ),
    "/session": byHttp("/session", /"session_id"/),
    "/ping": byHttp("/ping", /^PONG$/),
  },
};

for (const publicParts of [["health"], ["health", "reflection", "metrics"], []] as const) {
  describe(`with ${publicParts.join() || "none"} public`, () => {
    const isPublic = (part: string) => (publicParts as readonly string[]).includes(part);
    for (const [part, probes] of Object.entries(PROBES)) {
      for (const [name, probe] of Object.entries(probes)) {
        const title = isPublic(part) ? "is open to all" : "needs credentials";
        test(`${name} ${title}`, () =>
          withGuarded(
            async (server) => {
              const right = { authorization: server.ann.bearer };
              const wrong = { authorization: `${server.ann.bearer}x` };
              const bare = isPublic(part) ? "answered" : "refused";
              assert.equal(await probe(server, {}), bare);
              assert.equal(await probe(server, wrong), bare);
              assert.equal(await probe(server, right), "answered");
              assert.equal(await probe(server, { authorization: server.ann.basic }), "answered");
            },
            { publicParts },
          ));
      }
    }
  });
}
