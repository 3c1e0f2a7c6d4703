import { createMemoryStore } from "../../../src/stores/memory/store.js";
import { recordObserver } from "../../support/stores/fixture.js";
import { storeSuite } from "../suite/suite.js";

storeSuite("memory store", (quotas) => {
  const seen = recordObserver();
  const store = createMemoryStore(seen.observer, { quotas });
  return { store, seen, dispose: () => store.close() };
});
