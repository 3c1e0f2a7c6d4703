import { createMemoryStore } from "../../src/stores/memory/store.js";
import { recordObserver } from "./suite/fixture.js";
import { storeSuite } from "./suite.js";

storeSuite("memory store", (quotas) => {
  const seen = recordObserver();
  const store = createMemoryStore(seen.observer, { quotas });
  return { store, seen, dispose: () => store.close() };
});
