import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type AppPolicySchema,
  AtLimit,
  Binding,
} from "../../../gen/ts/latchkey/session/v1/app_policy_pb.js";
import { SessionService } from "../../../gen/ts/latchkey/session/v1/session_service_pb.js";
import { assertAnswer, type RestTrial, withRest } from "../../support/transports/rest-trial.js";
import { SECOND, STORES } from "../../support/transports/server.js";
import { openWire } from "../../support/transports/wires.js";

/** Declares a test over each store, in an app of this policy. */
function check(
  title: string,
  policy: MessageInitShape<typeof AppPolicySchema>,
  body: (trial: RestTrial) => Promise<void>,
): void {
  for (const store of STORES) {
    test(`${title} (${store})`, () =>
      withRest(store, async (trial) => {
        const wire = openWire("gRPC", trial.server);
        await wire.client(SessionService).setAppPolicy({ app: "shop", policy });
        wire.close();
        await body(trial);
      }));
  }
}

const seconds = (whole: number) => ({ seconds: BigInt(whole) });

check(
  "the policy's default is the time to live",
  { defaultIdleTtl: seconds(60) },
  async ({ text, create }) => {
    const token = await create("ann?ip=::1");
    assert.match(await text("GET", `/shop/get/${token}`), /"ttl":60,/);
    const own = await create("ann?ip=::1&ttl=70");
    assert.match(await text("GET", `/shop/get/${own}`), /"ttl":70,/);
    const fixed = await create("ann?ip=::1&no_resave=true");
    assert.match(await text("GET", `/shop/get/${fixed}`), /"ttl":60,.*"no_resave":true/);
  },
);

check(
  "a time to live over the maximum is refused by its own name",
  { maxIdleTtl: seconds(60) },
  async ({ rest, create }) => {
    await create("ann?ip=::1&ttl=60");
    assertAnswer(
      await rest.send("PUT", "/shop/create/ann?ip=::1&ttl=61"),
      '{"name":"invalidValue","message":"ttl must be at most 60 s in this app"}',
      400,
    );
  },
);

check(
  "a session without resave ends by the absolute maximum",
  { maxAbsoluteTtl: seconds(30) },
  async ({ text, create, clock }) => {
    const token = await create("ann?ip=::1&ttl=60&no_resave=true");
    assert.match(await text("GET", `/shop/get/${token}`), /"ttl":30,.*"no_resave":true/);
    clock.advance(30 * SECOND);
    assert.equal(await text("GET", `/shop/get/${token}`), "{}");
  },
);

check("a creation over the cap is refused", { maxSessionsPerUser: 1 }, async ({ rest, create }) => {
  await create("ann?ip=::1");
  assertAnswer(
    await rest.send("PUT", "/shop/create/ann?ip=::1"),
    '{"name":"limit","message":"the user has as many sessions as the app allows (1): end one of them first"}',
    429,
  );
});

check(
  "a creation over the cap ends another where the policy says so",
  { maxSessionsPerUser: 1, atLimit: AtLimit.EVICT_OLDEST },
  async ({ text, create }) => {
    const first = await create("ann?ip=::1");
    const second = await create("ann?ip=::1");
    assert.equal(await text("GET", `/shop/get/${first}`), "{}");
    assert.match(await text("GET", `/shop/get/${second}`), /"id":"ann"/);
  },
);

check(
  "reads within the touch interval do not count, and idle stays true",
  { touchInterval: seconds(10) },
  async ({ text, create, clock }) => {
    const token = await create("ann?ip=::1");
    const get = async () => JSON.parse(await text("GET", `/shop/get/${token}`));
    clock.advance(4 * SECOND);
    assert.deepEqual([(await get()).r, (await get()).idle], [1, 4]);
    clock.advance(6 * SECOND);
    assert.equal((await get()).idle, 10);
    assert.deepEqual([(await get()).r, (await get()).idle], [2, 0]);
  },
);

check(
  "a read is not held to an address, as it tells none",
  { bindIp: Binding.END },
  async ({ text, create }) => {
    const token = await create("ann?ip=192.0.2.1");
    assert.match(await text("GET", `/shop/get/${token}`), /"ip":"192.0.2.1"/);
  },
);

check(
  "a session whose token a caller made is read, written and ended by it",
  { callerTokens: true },
  async ({ server, rest, text }) => {
    const wire = openWire("gRPC", server);
    for (const token of ["a-caller_s-token-of-22", "Ab0_".repeat(64)]) {
      await wire.client(SessionService).createSession({ app: "shop", userId: "ann", token });
      assert.match(await text("GET", `/shop/get/${token}`), /^{"id":"ann"/);
      assert.match(await text("POST", `/shop/set/${token}`, { a: 1 }), /"d":{"a":1}/);
      assert.equal(await text("DELETE", `/shop/kill/${token}`), '{"kill":1}');
      assert.equal(await text("GET", `/shop/get/${token}`), "{}");
    }
    assertAnswer(
      await rest.send("GET", "/shop/get/a-callers-token-of-0"),
      '{"name":"invalidFormat","message":"Invalid token format"}',
      400,
    );
    wire.close();
  },
);
