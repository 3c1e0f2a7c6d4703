/**
 * Prints how many calls a second the client makes, GetSession with 32 in flight, against the server
 * at LATCHKEY_ADDRESS and LATCHKEY_HTTP_ADDRESS: `npm run rate -w latchkey-client`.
 */
import { createLatchkey } from "../src/index.js";

const IN_FLIGHT = 32;
const SECONDS = 3;
const { LATCHKEY_ADDRESS = "localhost:50051", LATCHKEY_HTTP_ADDRESS = "localhost:8080" } =
  process.env;

for (const [transport, address] of [
  ["grpc", LATCHKEY_ADDRESS],
  ["connect", LATCHKEY_HTTP_ADDRESS],
] as const) {
  const latchkey = createLatchkey({ address, transport });
  const app = "rate";
  const { token } = await latchkey.sessions.createSession({ app, userId: "ann" });
  /** Calls made in this time (s). */
  const load = async (seconds: number): Promise<number> => {
    const end = performance.now() + seconds * 1000;
    let calls = 0;
    const call = async () => {
      for (; performance.now() < end; calls++) await latchkey.sessions.getSession({ app, token });
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, call));
    return calls;
  };
  await load(1);
  console.log(`${transport}: ${Math.round((await load(SECONDS)) / SECONDS)} calls a second`);
  latchkey.close();
}
