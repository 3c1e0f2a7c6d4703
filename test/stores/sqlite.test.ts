import { createDatabase } from "./database.js";
import { storeSuite } from "./suite.js";

storeSuite("SQLite store", () => createDatabase());

// A cache too small for a single session: all but pending touches comes from the file.
storeSuite("SQLite store without a cache", () => createDatabase({ cacheBytes: 1 }));
