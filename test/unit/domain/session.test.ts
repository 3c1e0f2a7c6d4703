import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  expiresAt,
  hasFixedDeadline,
  isLive,
  type Session,
  touched,
} from "../../../src/domain/sessions/session.js";

const instant = fc.integer({ min: 0, max: 4_000_000_000_000 });
const ttl = fc.integer({ min: 10, max: 2 ** 31 - 1 }).map((seconds) => seconds * 1000);

/** New sessions, and how long after their creation they were accessed last. */
const sessions = fc
  .record({
    createdAt: instant,
    idleTtl: ttl,
    absoluteTtl: fc.option(ttl),
    reads: fc.integer({ min: 1, max: 99 }),
  })
  .map(
    ({ createdAt, idleTtl, absoluteTtl, reads }): Session => ({
      id: "01900000-0000-7000-8000-000000000000",
      app: "shop",
      userId: "ann",
      ip: "",
      userAgent: "",
      data: { a: 1 },
      reads,
      writes: 1,
      version: 1,
      createdAt,
      lastAccessedAt: createdAt,
      idleTtl,
      absoluteExpiresAt: absoluteTtl === null ? null : createdAt + absoluteTtl,
    }),
  );

test("a session lives up to the earlier of its two deadlines, and not at it", () => {
  fc.assert(
    fc.property(sessions, (session) => {
      const { lastAccessedAt, idleTtl, absoluteExpiresAt } = session;
      const deadline = Math.min(lastAccessedAt + idleTtl, absoluteExpiresAt ?? Infinity);
      assert.equal(expiresAt(session), deadline);
      assert.equal(isLive(session, deadline - 1), true);
      assert.equal(isLive(session, deadline), false);
    }),
  );
});

test("a session that has died stays dead", () => {
  fc.assert(
    fc.property(sessions, instant, fc.nat(), (session, now, later) => {
      if (!isLive(session, now)) assert.equal(isLive(session, now + later), false);
    }),
  );
});

test("a clock set back does not end a session", () => {
  fc.assert(
    fc.property(sessions, fc.nat(), (session, earlier) => {
      assert.equal(isLive(session, session.lastAccessedAt - earlier), true);
    }),
  );
});

test("a touch counts a read, moves the last access forward only, and changes nothing else", () => {
  fc.assert(
    fc.property(sessions, instant, (session, now) => {
      const before = structuredClone(session);
      const after = touched(session, now);
      assert.deepEqual(session, before);
      assert.deepEqual(after, {
        ...session,
        reads: session.reads + 1,
        lastAccessedAt: Math.max(session.lastAccessedAt, now),
      });
    }),
  );
});

test("no touch moves a deadline back, or beyond the absolute one", () => {
  fc.assert(
    fc.property(sessions, fc.array(instant, { maxLength: 5 }), (session, instants) => {
      let last = session;
      for (const now of instants) {
        const after = touched(last, now);
        assert.ok(expiresAt(after) >= expiresAt(last));
        assert.ok(expiresAt(after) <= (session.absoluteExpiresAt ?? Infinity));
        last = after;
      }
    }),
  );
});

test("touched within its idle time again and again, a session lives to its absolute deadline", () => {
  fc.assert(
    fc.property(sessions, fc.integer({ min: 2, max: 20 }), (session, steps) => {
      let last = session;
      for (let step = 0; step < steps; step++) {
        const now = last.lastAccessedAt + last.idleTtl - 1;
        const isWithin = now < (session.absoluteExpiresAt ?? Infinity);
        assert.equal(isLive(last, now), isWithin);
        if (!isWithin) return;
        last = touched(last, now);
      }
    }),
  );
});

test("a deadline is fixed exactly if no access in its life can move it", () => {
  const near = fc.tuple(sessions, fc.constantFrom(-1, 0, 1, null)).map(([session, beyond]) => ({
    ...session,
    absoluteExpiresAt:
      beyond === null ? session.absoluteExpiresAt : session.createdAt + session.idleTtl + beyond,
  }));
  fc.assert(
    fc.property(near, (session) => {
      const last = expiresAt(session) - 1;
      const moved = expiresAt(touched(session, last)) !== expiresAt(session);
      assert.equal(hasFixedDeadline(session), !moved);
    }),
  );
});
