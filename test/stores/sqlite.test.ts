import { createDatabase } from "./database.js";
import { storeSuite } from "./suite.js";

storeSuite("SQLite store", () => createDatabase());

// What ends together is removed in many transactions.
storeSuite("SQLite store of small slices", () => createDatabase({ slice: 2 }));

// A cache too small for a single session: all but pending touches comes from the file.
storeSuite("SQLite store without a cache", () => createDatabase({ cacheBytes: 1 }));
