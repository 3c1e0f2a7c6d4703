import { describe, test } from "node:test";
import { DEFAULT_QUOTAS } from "../../../src/domain/sessions/quotas.js";
import { type Case, createTrial, type OpenStore, withStore } from "../../support/stores/fixture.js";
import { closingCases } from "./closing.js";
import { countingCases } from "./counting.js";
import { creationCases } from "./creating.js";
import { deletionCases, userDeletionCases } from "./ending.js";
import { appDeletionCases } from "./ending-apps.js";
import { modelledHistory } from "./history.js";
import { listingCases } from "./listing.js";
import { modelledLives } from "./lives.js";
import { stableListing } from "./paging.js";
import { keptPolicies, policyCases } from "./policies.js";
import { type OpenWithQuotas, quotaCases } from "./quotas.js";
import { readingCases } from "./reading.js";
import { sweepCases } from "./sweeping.js";
import { eventCases } from "./telling.js";
import { updateCases } from "./updating.js";
import { anyData, anyUserId, valueCases } from "./values.js";

/**
 * The contract of `SessionStore` as tests, for any store: each gets a new,
 * empty one from `openWith`.
 */
export function storeSuite(name: string, openWith: OpenWithQuotas): void {
  const open: OpenStore = () => openWith(DEFAULT_QUOTAS);
  const check: Case = (title, body) => {
    test(title, () => withStore(open, (opened) => body(createTrial(opened))));
  };

  describe(name, () => {
    describe("create", () => creationCases(check));
    describe("peek and touch", () => readingCases(check));
    describe("update", () => updateCases(check));
    describe("delete", () => deletionCases(check));
    describe("deleteUser", () => userDeletionCases(check));
    describe("deleteApp", () => appDeletionCases(check));
    describe("list", () => {
      listingCases(check);
      test("a listing misses and repeats none that lives through it", () => stableListing(open));
    });
    describe("countActiveUsers", () => countingCases(check));
    describe("policies", () => {
      policyCases(check);
      test("policies are kept as long as sessions", () => keptPolicies(open));
    });
    describe("quotas", () => quotaCases(openWith));
    describe("sweep and stats", () => sweepCases(check));
    describe("events", () => eventCases(check));
    describe("values", () => {
      valueCases(check);
      test("any user id is kept to the letter", () => anyUserId(open));
      test("any data is kept to the letter", () => anyData(open));
    });
    describe("ping and close", () => closingCases(check));
    test("any life of sessions is as the model says", () => modelledLives(open));
    test("any history is answered as the model answers it", () => modelledHistory(open));
  });
}
