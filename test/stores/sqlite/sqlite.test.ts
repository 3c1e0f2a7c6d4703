import { createDatabase } from "../../support/stores/database.js";
import { storeSuite } from "../suite/suite.js";

storeSuite("SQLite store", (quotas) => createDatabase({ quotas }));

// What ends together is removed in many transactions.
storeSuite("SQLite store of small batches", (quotas) => createDatabase({ quotas, batchSize: 2 }));

// A cache too small for a single session: all but pending touches comes from the file.
storeSuite("SQLite store without a cache", (quotas) => createDatabase({ quotas, cacheBytes: 1 }));
