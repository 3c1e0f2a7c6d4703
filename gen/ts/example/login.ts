// Logs a user in, reads, changes and watches the session, and logs out; encrypts and decrypts a
// text where the server has a wallet. `npm run example -w latchkey-client` runs it with a server.
import { createLatchkey, LatchkeyError } from "latchkey-client";
import { EndReason, SessionEventType } from "latchkey-client/watch";

const latchkey = createLatchkey({
  address: process.env["LATCHKEY_ADDRESS"] ?? "localhost:50051",
  key: process.env["LATCHKEY_KEY"],
});
const { sessions, rke } = latchkey;
const app = "shop";

const { token } = await sessions.createSession({ app, userId: "ann", data: { cart: 2 } });
const { session } = await sessions.getSession({ app, token });
console.log(`${session?.userId} is logged in, her cart has ${session?.data?.["cart"]}`);

const watching = (async () => {
  for await (const { content } of latchkey.watch({ app, userId: "ann" })) {
    if (content.case === "snapshotEnd") {
      await sessions.updateSession({ app, token, data: { cart: 3 } });
      await sessions.deleteSession({ app, target: { case: "token", value: token } });
    }
    if (content.case !== "events") continue;
    for (const { type, endReason } of content.value.events) {
      if (type !== SessionEventType.ENDED) console.log(`the session was ${SessionEventType[type]}`);
      else return console.log(`the session ENDED: ${EndReason[endReason]}`);
    }
  }
})();
await watching;

try {
  await sessions.getSession({ app, token });
} catch (error) {
  if (!(error instanceof LatchkeyError)) throw error;
  console.log(`the token opens nothing any more: ${error.reason}`);
}

const { RKE_DOMAIN: domain, RKE_WALLET: walletPath } = process.env;
if (domain && walletPath) {
  const { session } = await rke.createSession({ domain, walletPath });
  const { sessionId = "" } = session ?? {};
  const plaintext = new TextEncoder().encode("hello");
  const { results } = await rke.encrypt({ sessionId, items: [{ plaintext }] });
  const [sealed] = results.map(({ result }) => result);
  if (sealed?.case !== "encrypted") throw new Error(sealed?.value?.message);
  const { ciphertext, nonce } = sealed.value;
  const opened = await rke.decrypt({ sessionId, items: [{ ciphertext, nonce }] });
  const [text] = opened.results.map(({ result }) => result);
  if (text?.case === "plaintext") console.log(`decrypted: ${new TextDecoder().decode(text.value)}`);
  await rke.deleteSession({ sessionId });
}
latchkey.close();
