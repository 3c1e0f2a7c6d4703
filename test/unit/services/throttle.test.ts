import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LatchkeyError } from "../../../src/domain/error.js";
import { networkOf } from "../../../src/lib/network.js";
import { createThrottle, type Throttle } from "../../../src/services/logins/throttle.js";

/** A throttle and the clock that it goes by. */
function createTrial(maxEntries = 1_000) {
  const clock = { now: 1_000_000 };
  return { clock, throttle: createThrottle({ clock: () => clock.now, maxEntries }) };
}

/** Seconds that a refusal says to wait; 0 if `attempt` was let through. */
function waitOf(attempt: () => unknown): number {
  try {
    attempt();
    return 0;
  } catch (error) {
    assert.ok(error instanceof LatchkeyError && error.code === "limit", String(error));
    const [, seconds] = /try again in (\d+) s$/.exec(error.message) ?? [];
    assert.ok(Number(seconds) >= 1, error.message);
    return Number(seconds);
  }
}

/** How many attempts in a row pass, all failing. */
function countFailures(attempt: () => unknown): number {
  let count = 0;
  while (waitOf(attempt) === 0) count++;
  return count;
}

/** Brings the account of this name under pressure from many addresses of a network. */
function press(throttle: Throttle, name: string, network = "198.51.100") {
  for (let host = 0; host < 200; host++) throttle.byName(`${network}.${host}`, name);
}

test("an address fails five times for an account, then once in 30 s", () => {
  const { throttle, clock } = createTrial();
  const attempt = () => throttle.byName("192.0.2.1", "ann");
  assert.equal(countFailures(attempt), 5);
  for (let round = 0; round < 3; round++) {
    assert.equal(waitOf(attempt), 30);
    clock.now += 29_999;
    assert.equal(waitOf(attempt), 1);
    clock.now += 1;
    assert.equal(countFailures(attempt), 1);
  }
  // Elsewhere, and for others, it goes on.
  assert.equal(
    waitOf(() => throttle.byName("192.0.2.2", "ann")),
    0,
  );
  assert.equal(
    waitOf(() => throttle.byName("192.0.2.1", "bob")),
    0,
  );
  clock.now += 5 * 30_000;
  assert.equal(countFailures(attempt), 5);
});

for (const [what, attempt] of [
  ["accounts", (throttle, at) => throttle.byName("192.0.2.1", `name ${at}`)],
  ["no account", (throttle) => throttle.byAddress("192.0.2.1")],
] satisfies [string, (throttle: Throttle, at: number) => unknown][]) {
  test(`an address fails thirty times for ${what}, then once in 3 s`, () => {
    const { throttle, clock } = createTrial();
    let at = 0;
    const next = () => attempt(throttle, at++);
    assert.equal(countFailures(next), 30);
    assert.equal(waitOf(next), 3);
    assert.equal(
      waitOf(() => throttle.byAddress("192.0.2.1")),
      3,
    );
    clock.now += 3_000;
    assert.equal(countFailures(next), 1);
    assert.equal(
      waitOf(() => throttle.byAddress("192.0.2.2")),
      0,
    );
  });
}

test("under pressure from everywhere, an address waits 5 s after it failed, one that did not passes", () => {
  const { throttle, clock } = createTrial();
  const attempt = () => throttle.byName("192.0.2.1", "ann");
  press(throttle, "ann");
  assert.equal(waitOf(attempt), 0);
  assert.equal(waitOf(attempt), 5);
  press(throttle, "ann", "198.51.101");
  clock.now += 4_999;
  assert.equal(waitOf(attempt), 1);
  press(throttle, "ann", "198.51.102");
  clock.now += 1;
  assert.equal(countFailures(attempt), 1);
  // The pressure leaves as soon as those who made it.
  clock.now += 10_000;
  assert.equal(countFailures(attempt), 2);
});

/** How many attempts of the addresses pass in an hour, each tried again and again, all failing. */
function countInAnHour(
  clock: { now: number },
  step: number,
  attempts: readonly (() => unknown)[],
): number {
  let passed = 0;
  for (const end = clock.now + 3_600_000; clock.now <= end; clock.now += step) {
    for (const attempt of attempts) if (waitOf(attempt) === 0) passed++;
  }
  return passed;
}

test("a /48 fails 150 times, then once a second, in whatever /64 of it and for whatever accounts", () => {
  const { throttle, clock } = createTrial(100_000);
  let at = 0;
  const next = () => throttle.byName(`2001:db8:7:${(at % 65_536).toString(16)}::1`, `name ${at++}`);
  assert.equal(countFailures(next), 150);
  assert.equal(waitOf(next), 1);
  assert.equal(
    waitOf(() => throttle.byAddress("2001:db8:7:ffff::1")),
    1,
  );
  // Others go on, and so does who is known.
  throttle.byName("2001:db8:8::1", "ann").succeeded();
  throttle.noteKnown("2001:db8:7:9::9", "ann");
  assert.equal(
    waitOf(() => throttle.byName("2001:db8:7:9::1", "ann")),
    0,
  );
  clock.now += 1_000;
  assert.equal(countFailures(next), 1);
});

test("a /48 makes at most 3,750 guesses in an hour", () => {
  const { throttle, clock } = createTrial(100_000);
  let at = 0;
  const next = () => throttle.byName(`2001:db8:7:${(at % 65_536).toString(16)}::1`, `name ${at++}`);
  const passed = countInAnHour(clock, 500, [next, next, next]);
  assert.ok(passed <= 3_751 && passed > 3_500, `${passed}`);
});

test("an account is guessed at 38,000 times in an hour at most, from however many networks", () => {
  const { throttle, clock } = createTrial(50_000);
  const attempts = Array.from(
    { length: 1_000 },
    (_, at) => () => throttle.byName(`10.${at >> 8}.${at & 255}.1`, "ann"),
  );
  const passed = countInAnHour(clock, 10_000, attempts);
  assert.ok(passed <= 38_001 && passed > 36_000, `${passed}`);
  // From a known address the owner goes on meanwhile, with at most 125 failures in the hour.
  throttle.noteKnown("192.0.2.1", "ann");
  assert.ok(countInAnHour(clock, 1_000, [() => throttle.byName("192.0.2.1", "ann")]) <= 126);
});

test("attempts that cost nothing are not remembered", () => {
  const { throttle } = createTrial();
  for (let at = 0; at < 100; at++) {
    throttle.byName(`192.0.2.${at}`, `name ${at}`).abandoned();
    throttle.byAddress(`192.0.2.${at}`).abandoned();
  }
  assert.deepEqual([...new Set(throttle.sizes())], [0]);
});

test("an attempt that was not checked leaves no wait, under pressure too", () => {
  const { throttle } = createTrial();
  press(throttle, "ann");
  const attempt = () => throttle.byName("192.0.2.1", "ann");
  for (let times = 0; times < 10; times++) attempt().abandoned();
  assert.equal(countFailures(attempt), 1);
});

test("of an account the last 32 networks are known; no other account has them forgotten", () => {
  const { throttle } = createTrial();
  const isKnown = (host: number) => throttle.byName(`192.0.2.${host}`, "ann").turn.isKnown;
  for (let host = 1; host <= 32; host++) throttle.byName(`192.0.2.${host}`, "ann").succeeded();
  for (let host = 1; host <= 200; host++) throttle.byName(`198.51.100.${host}`, "eve").succeeded();
  assert.ok(isKnown(1));
  throttle.byName("192.0.2.33", "ann").succeeded();
  assert.deepEqual([isKnown(2), isKnown(1), isKnown(33)], [false, true, true]);
});

test("an address that the account was authenticated from is slowed by its own failures only", () => {
  const { throttle, clock } = createTrial();
  throttle.byName("192.0.2.1", "ann").succeeded();
  press(throttle, "ann");
  for (let at = 0; at < 40; at++) waitOf(() => throttle.byName("192.0.2.1", `other ${at}`));
  assert.ok(waitOf(() => throttle.byName("192.0.2.1", "new")) > 0);

  const attempt = () => throttle.byName("192.0.2.1", "ann");
  assert.equal(countFailures(attempt), 5);
  assert.equal(waitOf(attempt), 30);
  clock.now += 30_000;
  assert.equal(waitOf(attempt), 0);
});

test("what succeeds or was not checked costs nothing", () => {
  for (const outcome of ["succeeded", "abandoned"] as const) {
    const { throttle } = createTrial();
    for (let round = 0; round < 100; round++) {
      throttle.byName("192.0.2.1", "ann")[outcome]();
      throttle.byAddress("192.0.2.1")[outcome]();
    }
    assert.equal(
      countFailures(() => throttle.byName("192.0.2.1", "ann")),
      5,
    );
  }
});

test("a success does not forgive the failures before it", () => {
  const { throttle } = createTrial();
  const attempt = () => throttle.byName("192.0.2.1", "ann");
  for (let round = 0; round < 4; round++) attempt();
  attempt().succeeded();
  assert.equal(countFailures(attempt), 1);
});

test("attempts under way count as failures until they are known not to be", () => {
  const { throttle } = createTrial();
  const attempt = () => throttle.byName("192.0.2.1", "ann");
  const running = Array.from({ length: 5 }, attempt);
  assert.equal(waitOf(attempt), 30);
  for (const one of running) one.succeeded();
  assert.equal(countFailures(attempt), 5);
});

test("names beyond the limit of names cost no more than others", () => {
  const { throttle } = createTrial();
  const attempt = (end: string) => () => throttle.byName("192.0.2.1", "x".repeat(100_000) + end);
  assert.equal(countFailures(attempt("a")), 5);
  assert.equal(waitOf(attempt("b")), 30);
});

test("the addresses that are remembered are bounded: the longest unused is forgotten", () => {
  const { throttle } = createTrial(10);
  const attempt = () => throttle.byName("192.0.2.1", "ann");
  assert.equal(countFailures(attempt), 5);
  for (let host = 0; host < 10; host++) throttle.byName(`198.51.100.${host}`, "bob");
  assert.equal(waitOf(attempt), 0);
});

const ADDRESSES = [
  "192.0.2.1",
  "::ffff:192.0.2.1",
  "192.0.2.2",
  "2001:db8:0:1::1",
  "2001:db8:0:1:ffff::2",
  "2001:db8:0:2::1",
];
const steps = fc.array(
  fc.record({
    address: fc.constantFrom(...ADDRESSES),
    name: fc.constantFrom("ann", "bob", undefined),
    pause: fc.constantFrom(0, 0, 0, 100, 1_000, 10_000),
    outcome: fc.constantFrom("failed", "failed", "failed", "succeeded", "abandoned"),
  }),
  { maxLength: 300 },
);

test("no more failures pass than the pace of each account and address allows", () => {
  fc.assert(
    fc.property(steps, (taken) => {
      const { throttle, clock } = createTrial();
      const failures = new Map<string, number[]>();
      const known = new Set<string>();
      const note = (key: string, burst: number, interval: number) => {
        const times = failures.get(key) ?? [];
        times.push(clock.now);
        failures.set(key, times);
        // In whatever time that ends here.
        for (const [index, since] of times.entries()) {
          const most = burst + (clock.now - since) / interval;
          assert.ok(times.length - index <= most, `${key} at ${clock.now}`);
        }
      };
      for (const { address, name, pause, outcome } of taken) {
        clock.now += pause;
        const network = networkOf(address);
        const pair = `${network} ${name}`;
        let attempt: ReturnType<Throttle["byAddress"]>;
        try {
          attempt =
            name === undefined ? throttle.byAddress(address) : throttle.byName(address, name);
        } catch {
          continue;
        }
        if (outcome === "failed") {
          if (name !== undefined) note(pair, 5, 30_000);
          if (!known.has(pair)) note(network, 30, 3_000);
        } else {
          attempt[outcome]();
          if (outcome === "succeeded" && name !== undefined) known.add(pair);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("whatever others do elsewhere, an address that did not fail is let through", () => {
  fc.assert(
    fc.property(steps, fc.constantFrom("ann", "bob"), (taken, name) => {
      const { throttle, clock } = createTrial();
      for (const step of taken) {
        clock.now += step.pause;
        waitOf(() =>
          step.name === undefined
            ? throttle.byAddress(step.address)
            : throttle.byName(step.address, step.name),
        );
      }
      assert.equal(
        waitOf(() => throttle.byName("203.0.113.9", name)),
        0,
      );
    }),
    { numRuns: 300 },
  );
});

test("who waits as long as told is let through, however others went on elsewhere", () => {
  fc.assert(
    fc.property(steps, steps, (before, meanwhile) => {
      const { throttle, clock } = createTrial();
      const own = () => throttle.byName("203.0.113.9", "ann");
      const run = (taken: typeof before) => {
        for (const { address, name = "ann" } of taken) {
          waitOf(() => throttle.byName(address, name));
        }
      };
      run(before);
      for (let round = 0; round < 20; round++) {
        const wait = waitOf(own);
        assert.ok(wait <= 30);
        clock.now += wait * 1000;
        run(meanwhile);
        if (wait > 0) assert.equal(waitOf(own), 0);
      }
    }),
    { numRuns: 50 },
  );
});
