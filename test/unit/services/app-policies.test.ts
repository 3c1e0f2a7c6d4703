import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import { createSessions } from "../../../src/services/sessions/sessions.js";
import { createMemoryStore } from "../../../src/stores/memory/store.js";
import { NOW, runs, SECOND } from "../../support/stores/fixture.js";

const ttl = fc.oneof(
  fc.constantFrom(10, 7_199, 7_200, 7_201),
  fc.integer({ min: 10, max: 20_000 }),
);
const asked = fc.record({ idleTtl: ttl, absoluteTtl: ttl }, { requiredKeys: [] });
const rules = fc
  .record(
    { defaultIdleTtl: ttl, maxIdleTtl: ttl, defaultAbsoluteTtl: ttl, maxAbsoluteTtl: ttl },
    { requiredKeys: [] },
  )
  .filter(
    ({ defaultIdleTtl = 0, maxIdleTtl, defaultAbsoluteTtl = 0, maxAbsoluteTtl }) =>
      defaultIdleTtl <= (maxIdleTtl ?? Infinity) &&
      defaultAbsoluteTtl <= (maxAbsoluteTtl ?? Infinity),
  );

/** The answer, or undefined if it was refused as invalid. */
async function orRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  return answer.catch((error: unknown) => {
    assert.ok(error instanceof LatchkeyError && error.code === "invalid", String(error));
    return undefined;
  });
}

test("no creation and no extension gets a session beyond the maxima, and none is refused within", () =>
  fc.assert(
    fc.asyncProperty(
      rules,
      asked,
      fc.boolean(),
      fc.array(fc.tuple(asked, fc.nat(200)), { maxLength: 4 }),
      async (policy, request, isFixed, extensions) => {
        let now = NOW;
        const sessions = createSessions({
          store: createMemoryStore({ swept: () => {} }),
          now: () => now,
          randomBytes,
          newSessionId: () => randomUUID(),
          logger: { warn: () => {} },
        });
        await sessions.setPolicy("shop", {
          ...policy,
          maxSessionsPerUser: 0,
          atLimit: "refuse",
          bindIp: "off",
          bindUserAgent: "off",
          callerTokens: false,
        });
        const { maxIdleTtl = Infinity, maxAbsoluteTtl = Infinity } = policy;
        const last = NOW + maxAbsoluteTtl * SECOND;
        const { idleTtl, absoluteTtl } = request;

        const created = await orRefused(
          sessions.create({ app: "shop", userId: "ann", isFixed, ...request }),
        );
        const isAllowed =
          (idleTtl ?? 0) <= maxIdleTtl && (isFixed || (absoluteTtl ?? 0) <= maxAbsoluteTtl);
        assert.equal(created !== undefined, isAllowed);
        if (!created) return;
        const { session, token } = created;
        assert.ok(session.idleTtl <= maxIdleTtl * SECOND);
        assert.ok((session.absoluteExpiresAt ?? Infinity) <= last);
        if (idleTtl !== undefined) assert.equal(session.idleTtl, idleTtl * SECOND);
        if (absoluteTtl !== undefined && !isFixed) {
          assert.equal(session.absoluteExpiresAt, NOW + absoluteTtl * SECOND);
        }

        for (const [limits, pause] of extensions) {
          now += pause * SECOND;
          if (limits.idleTtl === undefined && limits.absoluteTtl === undefined) continue;
          const living = await Promise.resolve(sessions.peek("shop", token)).then(
            () => true,
            () => false,
          );
          if (!living) return;
          const extended = await orRefused(sessions.extend({ app: "shop", token, ...limits }));
          const { idleTtl: idle = 0, absoluteTtl: absolute } = limits;
          const fits =
            idle <= maxIdleTtl && (absolute === undefined || now + absolute * SECOND <= last);
          assert.equal(extended !== undefined, fits);
          assert.ok((extended?.idleTtl ?? 0) <= maxIdleTtl * SECOND);
          assert.ok((extended?.absoluteExpiresAt ?? 0) <= last);
        }
      },
    ),
    { numRuns: runs(300) },
  ));
