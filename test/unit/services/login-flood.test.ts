import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHECK, createLoginTrial, type LoginTrial } from "./login-trial.js";

const HOME = "192.0.2.1";
const AWAY = "203.0.113.9";

/** An address of the attacker with this number, each in a network and a site of its own. */
const attacker = (number: number) => `10.${number >> 8}.${number & 255}.1`;

/** Each of these networks tries once, for the owner's account or one that it makes up. */
function storm({ logIn, clock }: LoginTrial, networks: number) {
  for (let number = 0; number < networks; number++) {
    const name = number % 2 === 0 ? "ann" : `name ${number} ${clock.now}`;
    logIn(attacker(number), name, false);
  }
}

/** Logs the owner in while others go on; answers how long (ms) that took. */
async function timeOfLogin(trial: LoginTrial, address: string, meanwhile: () => void) {
  const login = trial.logIn(address, "ann", true);
  while (login.outcome === "waiting") {
    meanwhile();
    await trial.pass();
  }
  assert.equal(login.outcome, "right");
  return login.endedAt - login.startedAt;
}

async function recognise(trial: LoginTrial, address: string, name = "ann") {
  const login = trial.logIn(address, name, true);
  while (login.outcome === "waiting") await trial.pass();
  assert.equal(login.outcome, "right");
}

test("under a flood from 120 networks, a known address logs in within three checks", async () => {
  const trial = createLoginTrial();
  await recognise(trial, HOME);
  for (let round = 0; round < 200; round++) {
    storm(trial, 120);
    const time = await timeOfLogin(trial, HOME, () => storm(trial, 120));
    assert.ok(time <= 3 * CHECK, `${time} ms`);
  }
});

test("under a flood from 120 networks, a new address logs in within one round of them", async () => {
  for (const warmUp of [0, 1, 30, 200]) {
    const trial = createLoginTrial();
    for (let round = 0; round < warmUp; round++) {
      storm(trial, 120);
      await trial.pass();
    }
    for (let host = 1; host <= 5; host++) {
      storm(trial, 120);
      // Two are checked at a time; the owner's check is one more.
      const most = (120 / 2 + 2) * CHECK;
      const time = await timeOfLogin(trial, `203.0.${host}.9`, () => storm(trial, 120));
      assert.ok(time <= most, `${time} ms after ${warmUp} rounds`);
    }
  }
});

test("a /24 and a /48 take one turn of a round, however many addresses attack from them", async () => {
  const trial = createLoginTrial();
  const flood = () => {
    for (let host = 0; host < 250; host++) {
      trial.logIn(`198.51.100.${host}`, `name ${host}`, false);
      trial.logIn(`2001:db8:0:${host.toString(16)}::1`, `name ${host}`, false);
    }
  };
  flood();
  assert.ok((await timeOfLogin(trial, AWAY, flood)) <= 3 * CHECK);
});

test("accounts that log in rightly without a pause leave a stranger every fourth turn", async () => {
  const trial = createLoginTrial();
  const flood = () => {
    for (let host = 0; host < 20; host++) trial.logIn(attacker(host), `user ${host}`, true);
  };
  for (let host = 0; host < 20; host++) await recognise(trial, attacker(host), `user ${host}`);
  for (let round = 0; round < 20; round++) {
    flood();
    await trial.pass();
  }
  const time = await timeOfLogin(trial, AWAY, flood);
  assert.ok(time <= 4 * CHECK, `${time} ms`);
});

test("an account that logs in from many networks does not hold up another that is known", async () => {
  const trial = createLoginTrial();
  await recognise(trial, HOME);
  const flood = () => {
    for (let host = 0; host < 30; host++) trial.logIn(attacker(host), "eve", true);
  };
  for (let host = 0; host < 30; host++) await recognise(trial, attacker(host), "eve");
  flood();
  assert.ok((await timeOfLogin(trial, HOME, flood)) <= 4 * CHECK);
});

test("where no place is left, who waits most gives way, and costs it no attempt", async () => {
  const trial = createLoginTrial({ running: 1, waiting: { known: 1, strangers: 4 } });
  const crowd = Array.from({ length: 5 }, (_, at) => trial.logIn(attacker(1), `name ${at}`, false));
  const owner = trial.logIn(AWAY, "ann", true);
  await trial.settle();
  assert.deepEqual(
    crowd.map(({ outcome }) => outcome),
    ["waiting", "waiting", "waiting", "waiting", "refused"],
  );
  await trial.pass();
  await trial.pass();
  await trial.pass();
  assert.equal(owner.outcome, "right");
  // The wrong ones counted, the one that was refused did not.
  const waits = crowd.map((_, at) => trial.logIn(attacker(1), `name ${at}`, false).outcome);
  assert.ok(waits.every((outcome) => outcome === "waiting"));
});

/** What anybody but the owner may do; networks are few, so that limits are met. */
const attempts = fc.array(
  fc.record({
    address: fc.oneof(
      fc.integer({ min: 0, max: 40 }).map(attacker),
      fc.integer({ min: 1, max: 3 }).map((host) => `2001:db8:${host}::1`),
    ),
    name: fc.constantFrom("ann", "bob", "eve", "nobody"),
    isRight: fc.boolean(),
    times: fc.constantFrom(1, 1, 6, 40),
    passes: fc.constantFrom(0, 0, 0, 1, 3),
  }),
  { maxLength: 40 },
);

test("nothing that others do keeps a known address waiting, and memory stays bounded", () =>
  fc.assert(
    fc.asyncProperty(attempts, attempts, async (before, meanwhile) => {
      const max = 64;
      const limits = { running: 2, waiting: { known: 8, strangers: 16 } };
      const trial = createLoginTrial(limits, max);
      await recognise(trial, HOME);
      const take = ({ address, name, isRight, times }: (typeof before)[number]) => {
        for (let at = 0; at < times; at++) {
          // The attackers have accounts of their own, bob and eve.
          const owns = at === 0 && (name === "bob" || name === "eve");
          trial.logIn(address, at === 0 ? name : `${name} ${at}`, isRight && owns);
        }
      };
      for (const step of before) {
        take(step);
        for (let pass = 0; pass < step.passes; pass++) await trial.pass();
      }
      const rest = [...meanwhile];
      for (let round = 0; round < 3; round++) {
        const time = await timeOfLogin(trial, HOME, () => {
          const step = rest.shift();
          if (step) take(step);
        });
        // Two run; two accounts and a stranger have their turns before.
        assert.ok(time <= 4 * CHECK, `${time} ms`);
      }
      for (const size of trial.throttle.sizes()) assert.ok(size <= max);
    }),
    { numRuns: 60 },
  ));
