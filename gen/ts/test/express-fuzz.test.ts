import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { startServer } from "../../../test/support/process/server.js";
import { LatchkeyStore } from "../src/express-session.js";
import { createLatchkey } from "../src/index.js";
import { compareWithMemory } from "./express-fuzz.js";

const server = startServer({ after }, { LATCHKEY_STORE: "memory:" });
/** `npm run fuzz -w latchkey-client` makes 10,000. */
const RUNS = Number(process.env["FUZZ_RUNS"] ?? 200);

test(`${RUNS} sequences of what apps do to a session end as with MemoryStore`, async (t) => {
  const latchkey = createLatchkey({ address: (await server).grpc, deadline: 60_000 });
  t.after(() => latchkey.close());
  const app = `u-${randomUUID().slice(0, 8)}`;
  await compareWithMemory(new LatchkeyStore({ latchkey, app }), RUNS);
});
